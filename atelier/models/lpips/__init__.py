"""LPIPS (Zhang et al. 2018): how different two pictures look, by an ImageNet network's features."""

from atelier.models.lpips.networks import LPIPS, Net

__all__ = ["LPIPS", "Net"]
