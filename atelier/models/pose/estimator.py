"""What finds keypoints: picture bytes in, BODY_25 keypoints out, whichever network is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from atelier.models.tensors import PictureBytes

Keypoints = Float[Tensor, "batch 25 3"]  # BODY_25: (x, y, confidence) in pixels of the picture; missing is (0, 0, 0)


class KeypointEstimator(ABC):
    """Finds the joints of the one person in each picture."""

    @abstractmethod
    def estimate(self, person: PictureBytes) -> Keypoints:
        """Keypoints on the pictures' device; all zero where nobody was found."""
