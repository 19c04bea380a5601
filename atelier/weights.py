"""Weight folders: `config.json` beside one or several `.safetensors`, read strictly and named by their sha256.

The one format of ours. A foreign `.pth` is read by `read_foreign`, once, on its way through a `convert`.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from atelier.errors import WeightsError

CONFIG_NAME = "config.json"
SUFFIX = ".safetensors"

_WRAPPED = "module."
"""What DistributedDataParallel and DataParallel put before every key."""

_UNWRAPPED = (
    f"all keys begin with {_WRAPPED!r}, as DistributedDataParallel saves them; save its `.module.state_dict()` instead,"
    f" or take the prefix off: {{key.removeprefix({_WRAPPED!r}): value for key, value in state.items()}}"
)

_UNKNOWN_OBJECT = re.compile(r"Unsupported (?:global|class|operand)[^\n]*?GLOBAL ([\w.]+)")
"""In the safe reader's message: the object that it will not make."""


def write_folder(
    folder: str | Path,
    config: Mapping[str, Any],
    states: Mapping[str, Mapping[str, Tensor]],
    *,
    dtype: torch.dtype | None = None,
) -> str:
    """A weight folder from a config and one state dict per network; gives the folder's digest.

    Args:
        folder: made if absent; files of the same names are replaced.
        config: plain JSON values.
        states: file stem → state dict.
        dtype: what floating-point tensors are stored in, e.g. `torch.float16`; None keeps theirs.

    Raises:
        WeightsError: a value that is NaN or infinite, or that `dtype` cannot hold (fp16 ends at 65504).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, state in states.items():
        check_finite(stem, state, folder / f"{stem}{SUFFIX}")
        stored = {key: _stored(key, tensor, dtype, f"{folder / stem}{SUFFIX}") for key, tensor in state.items()}
        path = folder / f"{stem}{SUFFIX}"
        _beside(path).write_bytes(save(stored))  # not save_file: its files are readable by their owner only
        _beside(path).replace(path)
    # The config comes last: a folder that was cut off while being written has none and is refused.
    path = folder / CONFIG_NAME
    _beside(path).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    _beside(path).replace(path)
    return folder_digest(folder)


def read_config(folder: str | Path) -> dict[str, Any]:
    """The folder's `config.json`.

    Raises:
        WeightsError: no such folder or file, or no JSON object in it.
    """
    path = Path(folder) / CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(str(folder), reason=f"not a weight folder: {CONFIG_NAME} is missing") from error
    except (OSError, ValueError) as error:
        raise WeightsError(str(path), reason=f"cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise WeightsError(str(path), reason=f"must hold a JSON object, holds a {type(config).__name__}")
    return config


def read_state(folder: str | Path, stem: str) -> dict[str, Tensor]:
    """The state dict in `<stem>.safetensors`, on the CPU, in the dtype it is stored in.

    Raises:
        WeightsError: the file is missing or is not a safetensors file.
    """
    path = Path(folder) / f"{stem}{SUFFIX}"
    if not path.is_file():
        raise WeightsError(str(folder), reason=f"{path.name} is missing")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(str(path), reason=f"is not a safetensors file: {error}") from error


def read_file(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a single file, `.safetensors` or, as `read_foreign` reads it, a `.pth`.

    Raises:
        WeightsError: no such file, or no state dict in it.
    """
    path = Path(path)
    return read_state(path.parent, path.stem) if path.suffix == SUFFIX else read_foreign(path)


def file_digest(path: str | Path) -> str:
    """The sha256 (hex) of one weight file.

    Raises:
        WeightsError: there is no such file.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(str(path), reason=f"cannot be read: {error.strerror}") from error


def folder_digest(folder: str | Path) -> str:
    """The sha256 (hex) of a weight folder: of its config and its `.safetensors`, whatever else lies beside them.

    A model card or a picture next to the weights does not change it; a renamed network does.

    Raises:
        WeightsError: the folder has no `config.json`.
    """
    folder = Path(folder)
    read_config(folder)
    total = hashlib.sha256()
    for path in [folder / CONFIG_NAME, *sorted(folder.glob(f"*{SUFFIX}"))]:
        total.update(f"{path.name} {file_digest(path)}\n".encode())
    return total.hexdigest()


def state_digest(module: nn.Module) -> str:
    """The sha256 (hex) of a module's weights at half precision: the same for fp32 in use and fp16 on disk."""
    total = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        stored = tensor.detach().cpu()
        stored = stored.half() if stored.is_floating_point() else stored
        total.update(f"{key} {tuple(stored.shape)}\n".encode() + stored.contiguous().numpy().tobytes())
    return total.hexdigest()


def check_keys(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Holds a state dict against a module, key by key.

    Raises:
        WeightsError: lists every missing, unexpected and mis-shaped key; where it was saved wrapped, under keys that
            all begin with `module.`, says so and lists what is off besides.
    """
    wanted, reason = module.state_dict(), ""
    if state and all(key.startswith(_WRAPPED) and key not in wanted for key in state):
        state = {key.removeprefix(_WRAPPED): value for key, value in state.items()}
        reason = _UNWRAPPED
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    mis_shaped = [
        (key, tuple(state[key].shape), tuple(wanted[key].shape))
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    if missing or unexpected or mis_shaped or reason:
        if reason:
            reason += "; besides, these are off" if missing or unexpected or mis_shaped else "; nothing else is off"
        raise WeightsError(str(source), missing=missing, unexpected=unexpected, mis_shaped=mis_shaped, reason=reason)


def check_finite(network: str, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Refuses weights that would make nothing but NaN.

    Args:
        network: whose they are, for the message.

    Raises:
        WeightsError: names the first key with a value that is NaN or infinite.
    """
    for key, tensor in state.items():
        if tensor.is_floating_point() and (off := int((~tensor.isfinite()).sum())):
            told = f"{key} holds {off:,} values of {tensor.numel():,} that are NaN or infinite; all must be finite"
            raise WeightsError(str(source), reason=f"network {network}: {told}")


def check_file(path: str | Path) -> None:
    """Refuses a path at which no file lies.

    Raises:
        WeightsError: nothing lies there, or a folder.
    """
    if not Path(path).is_file():
        reason = "is a folder, must be a file" if Path(path).is_dir() else "there is no such file"
        raise WeightsError(str(path), reason=reason)


def load_into(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Copies a state dict into a module, key for key; values take the module's dtype (fp16 on disk, fp32 in use).

    Raises:
        WeightsError: as `check_keys`; the module is then left as it was.
    """
    check_keys(module, state, source)
    module.load_state_dict(dict(state), strict=True)


def read_foreign(path: str | Path, part: str | None = None) -> dict[str, Tensor]:
    """The state dict in a published `.pth`, read with `weights_only=True`: nothing in the file is executed.

    Args:
        path: of the file.
        part: the entry that holds the state dict, where the file holds more than one; None is a plain state dict.

    Raises:
        WeightsError: no such file, not a checkpoint, one that holds other objects than tensors, or no flat state dict.
    """
    path = Path(path)
    check_file(path)
    try:
        with warnings.catch_warnings():
            # Of a pickle's protocol, which asks the reader to report it to torch: what is wrong is said below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch's own words advise to switch the safe reading off: they are not repeated.
        stranger = _UNKNOWN_OBJECT.search(str(error))
        held = (
            f"holds more than tensors ({stranger[1]})" if stranger else "holds more than tensors, or is no checkpoint"
        )
        reason = f"{held}; only a plain state dict of tensors is read"
        raise WeightsError(str(path), reason=reason) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise WeightsError(str(path), reason=f"is not a PyTorch checkpoint ({_first_line(error)})") from error
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        # A file of another kind may begin like a pickle: what the reader then stumbles over says nothing to anybody.
        raise WeightsError(str(path), reason="is not a PyTorch checkpoint") from error
    if not isinstance(content, Mapping):
        raise WeightsError(str(path), reason=f"must hold a state dict, holds a {type(content).__name__}")
    if part is not None:
        if not isinstance(content.get(part), Mapping):
            reason = f"must hold a state dict under {part!r}, has {', '.join(sorted(map(str, content))[:8])}"
            raise WeightsError(str(path), reason=reason)
        content = content[part]
    strangers = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        reason = f"must hold tensors only, also holds {', '.join(sorted(strangers))}; give the state dict inside it"
        raise WeightsError(str(path), reason=reason)
    return {str(key): value for key, value in content.items()}


def _stored(key: str, tensor: Tensor, dtype: torch.dtype | None, source: str) -> Tensor:
    tensor = tensor.detach().cpu()
    if dtype is not None and tensor.is_floating_point():
        narrowed = tensor.to(dtype)
        if not torch.equal(narrowed.isfinite(), tensor.isfinite()):
            raise WeightsError(source, reason=f"{key} holds values that {dtype} cannot")
        tensor = narrowed
    return tensor.contiguous().clone()  # safetensors refuses tensors that share memory


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
