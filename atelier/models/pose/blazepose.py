"""BlazePose (Bazarevsky et al. 2020) for photographs of real people, run by ai-edge-litert on the CPU."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.pose.blazepose_files import DETECTOR, LANDMARKS, check_blazepose
from atelier.models.pose.blazepose_geometry import (
    DETECTOR_SIZE,
    LANDMARK_SIZE,
    best_detection,
    crop,
    landmarks_in_picture,
    whole_picture,
)
from atelier.models.pose.estimator import KeypointEstimator, Keypoints
from atelier.models.pose.joints import NUM_JOINTS, body25_of_blazepose
from atelier.models.tensors import PictureBytes


class BlazePose(KeypointEstimator):
    """A detector finds the person, a second network 33 landmarks in the square around.

    Args:
        folder: as `extract_blazepose` makes it.
        min_score: below it, in either network, nobody is there.
        min_confidence: a joint below it, hidden or out of the picture, is missing.

    Raises:
        ConfigError: the extra `pose` is not installed.
        WeightsError: a model file is missing or is not the known one.
    """

    def __init__(self, folder: str | Path, *, min_score: float = 0.5, min_confidence: float = 0.3) -> None:
        litert = _litert()
        check_blazepose(folder)
        self.detector = _network(litert, Path(folder) / DETECTOR)
        self.landmarks = _network(litert, Path(folder) / LANDMARKS)
        self.min_score, self.min_confidence = min_score, min_confidence

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """The estimator in a folder that `extract_blazepose` made."""
        return cls(folder)

    def estimate(self, person: PictureBytes) -> Keypoints:
        """Keypoints; small toes are always missing. Pictures go to the CPU and through the networks one by one."""
        pictures = person.cpu().permute(0, 3, 1, 2).to(torch.float32) / 255
        found = [torch.from_numpy(self._joints(picture)) for picture in pictures]
        return torch.stack(found).to(person.device)

    def _joints(self, picture: Float[Tensor, "3 height width"]) -> np.ndarray:
        height, width = picture.shape[1:]
        nobody = np.zeros((NUM_JOINTS, 3), dtype=np.float32)
        seen = whole_picture((height, width))
        outputs = _run(self.detector, crop(picture, seen, DETECTOR_SIZE) * 2 - 1)
        detection = best_detection(outputs[2254, 12], outputs[2254, 1][:, 0], seen, min_score=self.min_score)
        if detection is None:
            return nobody
        region = detection.region()
        outputs = _run(self.landmarks, crop(picture, region, LANDMARK_SIZE))
        if outputs[(1,)][0] < self.min_score:
            return nobody
        landmarks = landmarks_in_picture(outputs[(195,)].reshape(39, 5), outputs[64, 64, 39], region)
        joints = body25_of_blazepose(landmarks)
        inside = ((joints[:, :2] >= 0) & (joints[:, :2] < (width, height))).all(axis=1)
        joints[~inside | (joints[:, 2] < self.min_confidence)] = 0
        return joints


def _litert() -> Any:
    try:
        # By name: the extra is optional, and the library must import without it.
        return import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        reason = "BlazePose runs by ai-edge-litert, which is not installed; pip install 'atelier[pose]'"
        raise ConfigError(f"pose: {reason}") from error


def _network(litert: Any, path: Path) -> Any:
    interpreter = litert.Interpreter(model_path=str(path), num_threads=torch.get_num_threads())
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, picture: Float[Tensor, "side side 3"]) -> dict[tuple[int, ...], np.ndarray]:
    """A network's outputs by their shape, the batch axis left off."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture.numpy()[None])
    interpreter.invoke()
    outputs = (interpreter.get_tensor(details["index"])[0] for details in interpreter.get_output_details())
    return {output.shape: output for output in outputs}
