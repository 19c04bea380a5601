"""All benchmarks one after another, into the page: `python -m benchmarks` (about an hour on two idle cores)."""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    """Runs each as a person would run it alone; stops at the first that fails."""
    for name in ("closet", "plan", "batch", "training", "serving", "models", "joining"):
        print(f"benchmarks.{name}", flush=True)
        if status := subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--write"]).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
