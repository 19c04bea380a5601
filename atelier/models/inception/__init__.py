"""The Inception network that the Fréchet Inception distance is defined on."""

from atelier.models.inception.networks import FIDInception

__all__ = ["FIDInception"]
