"""A tiny CLIP and a tiny autoencoder in folders, as transformers and diffusers write them, and a model around both."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from atelier.models.human_diffusion import HumanDiffusionConfig


def latent(config: HumanDiffusionConfig) -> HumanDiffusionConfig:
    """The same model on latents, told by CLIP."""
    return dataclasses.replace(
        config,
        encoder="clip",
        known_words=(),
        crop_size=32,
        value_width=32,
        latent_channels=4,
        latent_stride=2,
        patch=1,
        prediction="eps",
        noise_schedule="scaled_linear",
    )


def write_clip(folder: Path) -> Path:
    """A CLIP of one layer whose tokenizer knows single letters."""
    torch.manual_seed(0)
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 32}
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**layers, **ids, "vocab_size": len(words), "max_position_embeddings": 40}
    vision = {**layers, "image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    return folder


def write_vae(folder: Path, *, seed: int = 0) -> Path:
    """An autoencoder of two levels."""
    torch.manual_seed(seed)
    blocks: dict[str, Any] = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    }
    AutoencoderKL(latent_channels=4, norm_num_groups=4, **blocks).save_pretrained(folder)
    return folder
