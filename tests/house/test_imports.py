"""Importing must cost nothing and do nothing: no Ray in the library, no CUDA, no network, no environment changed."""

from __future__ import annotations

import subprocess
import sys

import pytest

WALK = """
import importlib, os, pkgutil, sys

def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"import reached for the network: {event} {args!r}")

package_name, forbidden = sys.argv[1], set(sys.argv[2].split(","))
import torch
before = dict(os.environ)
sys.addaudithook(hook)
package = importlib.import_module(package_name)
for module in pkgutil.walk_packages(package.__path__, package_name + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
changed = {k for k in set(before) | set(os.environ) if before.get(k) != os.environ.get(k)}
assert not torch.cuda.is_initialized(), "import touched CUDA"
assert not (loaded := forbidden & set(sys.modules)), f"import loaded {loaded}"
if package_name == "atelier":
    assert not changed, f"import changed the environment: {changed}"
elif "ray" in sys.modules:
    assert not sys.modules["ray"].is_initialized(), "import started Ray"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("atelier", "ray,fastapi,pipelines,serving,training"),
        ("pipelines", "serving,training,fastapi"),
        pytest.param("training", "serving,pipelines,fastapi", marks=pytest.mark.long),
        pytest.param("serving", "training,pipelines", marks=pytest.mark.long),
    ],
)
def test_importing_everything_does_nothing(package: str, forbidden: str) -> None:
    done = subprocess.run([sys.executable, "-c", WALK, package, forbidden], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
