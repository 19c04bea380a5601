"""Protocols by name; each fact with its source, each departure from the published evaluation said."""

from __future__ import annotations

from atelier.errors import ConfigError
from atelier.evaluation.sets.protocol import DistanceRule, LpipsRule, Protocol, SsimRule
from atelier.evaluation.sets.resizing import Resize

_HR_VITON = "sangyun884/HR-VITON evaluate.py (9cee841), public evaluation code of VITON-HD's authors' group"
_PIDM = "ankanbhunia/PIDM utils/metrics.py (f6499c2)"
_FID_SIZE = "the Inception network's own input of 299x299, bilinear without a filter (pytorch-fid)"


def plain() -> Protocol:
    """Pictures as they are stored: nothing is resized, both sets must have one size."""
    return Protocol(name="plain", summary="as stored: nothing resized, one size in both sets")


def catalog() -> Protocol:
    """A batch job's pictures against the true answers of its catalog, which may be larger than the working size."""
    return Protocol(
        name="catalog",
        summary="true pictures brought to the made ones' size by Pillow's bilinear filter, their aspect kept",
        truth_rule="pillow_bilinear",
        sources=("ours: a job makes pictures at its recipe's working size, whatever the size of the catalog's",),
    )


def viton_hd(size: tuple[int, int]) -> Protocol:
    """VITON-HD's test set at one of its three sizes, by the evaluation code that its authors' group published.

    VITON-HD's own evaluation code isn't public; that of HR-VITON, by the same group on the same set, is.
    """
    height, width = size
    published = size == (1024, 768)
    return Protocol(
        name=f"viton_hd_{height}",
        summary=f"VITON-HD's test pairs at {height}x{width}",
        pairing="person_id",
        size=size,
        truth_resize=None if published else Resize(size=size, rule="pillow_bilinear"),
        ssim=SsimRule(colour="luma"),
        lpips=LpipsRule(net="alex", resize=Resize(size=(128, 128), rule="pillow_bilinear")),
        distance=DistanceRule(),
        num_pairs=2032,
        sources=(
            "sizes 1024x768, 512x384, 256x192 and true pictures resized by Pillow's bilinear filter: " + _HR_VITON,
            "SSIM on Pillow's luma, Gaussian window, population covariance, range 255: " + _HR_VITON,
            "LPIPS of AlexNet at 128x128 by torchvision's Resize on Pillow images: " + _HR_VITON,
            "2,032 test pairs; SSIM and LPIPS paired, FID unpaired: shadow2496/VITON-HD README and paper",
        ),
        differences=(
            "VITON-HD's own evaluation code is not public; this is that of HR-VITON",
            "which library gave the published FID and KID is not known; here: " + _FID_SIZE,
            "the published code also gives the mean squared error and the Inception score; left out here",
        ),
    )


def pidm(size: tuple[int, int]) -> Protocol:
    """PIDM's evaluation on DeepFashion: FID against the training pictures, everything but SSIM at a narrow size."""
    height, width = size
    narrow = Resize(size=size, rule="plain_bilinear")
    sources = [
        "SSIM on RGB, Gaussian window of sigma 1.2, population covariance, range of the made picture, at the stored "
        "size: " + _PIDM,
        "LPIPS of AlexNet after OpenCV's bilinear resize of floats: " + _PIDM,
        "FID of the made pictures against all training pictures, both resized so, then " + _FID_SIZE + ": " + _PIDM,
        "true and training pictures are stored as 256x256 PNG by Pillow's bicubic filter; 48,674 of training: "
        "ankanbhunia/PIDM issue 37",
        "8,570 test pairs: the split of Zhu et al. 2019, which PIDM uses",
    ]
    if size != (256, 176):
        sources.append("512x352 in place of 256x176, everything else alike: ankanbhunia/PIDM issue 40")
    return Protocol(
        name=f"pidm_{height}",
        summary=f"PIDM's on DeepFashion, {height}x{width}",
        size=(256, 256) if size == (256, 176) else None,
        ssim=SsimRule(sigma=1.2, data_range="made"),
        lpips=LpipsRule(net="alex", resize=narrow),
        distance=DistanceRule(against="training", resize=narrow, kernel=False),
        num_pairs=8570,
        num_training=48674,
        sources=tuple(sources),
        differences=(
            "the published code drops a last incomplete batch of 64 from FID and LPIPS; here every picture counts",
            "the published code pairs by its own file names; here by equal names or a pairs file",
        ),
    )


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        plain(),
        catalog(),
        viton_hd((1024, 768)),
        viton_hd((512, 384)),
        viton_hd((256, 192)),
        pidm((256, 176)),
        pidm((512, 352)),
    )
}


def named(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ConfigError: there is none; lists those there are.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"protocol: is {name!r}, must be one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
