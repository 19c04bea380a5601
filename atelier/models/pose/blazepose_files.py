"""BlazePose's two model files: out of MediaPipe's wheel into a weight folder, known by their sha256.

MediaPipe (Apache-2.0) carries them up to 0.10.21, and none since. Its package needn't be installed, and should not be:
it wants numpy < 2.

    pip download --no-deps mediapipe==0.10.21
    python -c "from atelier.models.pose.blazepose_files import extract_blazepose as extract;
               extract('mediapipe-0.10.21-….whl', 'blazepose')"
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from atelier.errors import WeightsError
from atelier.weights import read_config, write_folder

MODEL_NAME = "blazepose"
"""By which `config.json` names the model."""
DETECTOR, LANDMARKS = "pose_detection.tflite", "pose_landmark_full.tflite"

_MEMBERS = {
    DETECTOR: "mediapipe/modules/pose_detection/pose_detection.tflite",
    LANDMARKS: "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
}
_SHA256 = {
    DETECTOR: "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    LANDMARKS: "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
}


def extract_blazepose(wheel: str | Path, out: str | Path) -> str:
    """A weight folder with both model files out of a downloaded MediaPipe wheel; gives the folder's digest.

    Raises:
        WeightsError: no such wheel, one without the models, or models that are not the known ones.
    """
    contents: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, member in _MEMBERS.items():
                contents[name] = archive.read(member)
    except FileNotFoundError as error:
        raise WeightsError(str(wheel), reason="there is no such file") from error
    except zipfile.BadZipFile as error:
        raise WeightsError(str(wheel), reason=f"is not a wheel: {error}") from error
    except KeyError as error:
        reason = f"holds no {', '.join(sorted(_MEMBERS.values()))}; take mediapipe 0.10.5 to 0.10.21"
        raise WeightsError(str(wheel), reason=reason) from error
    for name, content in contents.items():
        _check(wheel, name, content)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (out / name).write_bytes(content)
    # The config comes last and names the files' contents: through it the folder's digest is theirs too.
    return write_folder(out, {"model": MODEL_NAME, "sha256": _SHA256}, {})


def check_blazepose(folder: str | Path) -> None:
    """That a folder is as `extract_blazepose` left it.

    Raises:
        WeightsError: it is another model's, a file is missing, or one has changed.
    """
    folder = Path(folder)
    config = read_config(folder)
    if config.get("model") != MODEL_NAME or config.get("sha256") != _SHA256:
        raise WeightsError(str(folder), reason=f"config.json is not {MODEL_NAME}'s; make the folder again from a wheel")
    for name in _SHA256:
        path = folder / name
        if not path.is_file():
            raise WeightsError(str(folder), reason=f"{name} is missing; make the folder again from a wheel")
        _check(folder, name, path.read_bytes())


def _check(source: str | Path, name: str, content: bytes) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256[name]:
        reason = f"{name} is not the known model: its sha256 is {found}, must be {_SHA256[name]}"
        raise WeightsError(str(source), reason=reason)
