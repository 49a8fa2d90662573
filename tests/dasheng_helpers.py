"""Tiny checkpoints of Dasheng, and its encoder built another way: of torch's own layers, over transformers' spectra."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from encoder_helpers import shake
from safetensors.torch import save_file
from torch import nn

DIM, DEPTH, HEADS, TARGET = 24, 3, 4, 40
"""The chunk is of 40 spectra, 10 frames."""
SPECTRA = {
    "feature_extractor_type": "DashengFeatureExtractor",
    "sampling_rate": 16_000,
    "feature_size": 64,
    "n_fft": 512,
    "win_size": 512,
    "hop_size": 160,
    "f_min": 0,
    "f_max": 8_000,
    "center": True,
}


class Plain(nn.Module):
    """The encoder as the paper draws it: a batch-normed spectrum, patches of all bands, pre-norm blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = nn.BatchNorm2d(64)
        self.patches = nn.Linear(64 * 4, DIM)
        self.times = nn.Parameter(torch.zeros(TARGET // 4, DIM))
        self.bias = nn.Parameter(torch.zeros(DIM))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                DIM, HEADS, 4 * DIM, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
            )
            for _ in range(DEPTH)
        )
        self.norm = nn.LayerNorm(DIM, eps=1e-6)

    def states(self, wave: np.ndarray) -> dict[str, torch.Tensor]:
        """(T, D) of every state of one wave, chunk by chunk, what fills up the last one cut off."""
        spectra = torch.tensor(decibels(wave))  # (mels, S)
        normed = self.bands(spectra.T[None, :, :].permute(0, 2, 1)[..., None])[0, :, :, 0]
        n_frames = normed.shape[1] // 4
        if normed.shape[1] > TARGET:
            missing = -normed.shape[1] % TARGET
            normed = torch.cat([normed, torch.zeros(64, missing)], 1)
        found: dict[str, list[torch.Tensor]] = {}
        for chunk in normed.split(TARGET, 1):
            usable = chunk[:, : chunk.shape[1] // 4 * 4]
            x = self.patches(usable.reshape(64, -1, 4).transpose(0, 1).flatten(1)) + self.bias
            x = x + self.times[: len(x)]
            found.setdefault("input", []).append(x)
            for number, block in enumerate(self.blocks, start=1):
                x = block(x[None])[0]
                found.setdefault(str(number), []).append(x)
            found.setdefault("final", []).append(self.norm(x))
        return {state: torch.cat(parts)[:n_frames] for state, parts in found.items()}


def decibels(wave: np.ndarray) -> np.ndarray:
    """(64, S) as transformers computes them, in float64."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    return np.float32(
        spectrogram(
            wave,
            window_function(512, "hann"),
            frame_length=512,
            hop_length=160,
            fft_length=512,
            power=2.0,
            mel_filters=mel_filter_bank(257, 64, 0.0, 8_000.0, 16_000, norm=None, mel_scale="htk"),
            log_mel="dB",
            db_range=120.0,
        )
    )


def plain(seed: int = 0) -> Any:
    model = shake(Plain(), seed)
    with torch.no_grad():
        model.bands.running_mean -= 20.0  # decibels lie far from zero
        model.bands.running_var *= 200.0
    return model


def tensors(model: Any) -> dict[str, torch.Tensor]:
    """The weights under the names of the published checkpoints."""
    found = {
        "time_pos_embed": model.times.T[None, :, None, :],
        "freq_pos_embed": model.bias[None, :, None, None],
        "patch_embed.proj.weight": model.patches.weight.unflatten(1, (1, 64, 4)),
        "patch_embed.proj.bias": model.patches.bias,
    }
    found |= {f"init_bn.1.{name}": x for name, x in model.bands.state_dict().items()}
    found |= {f"norm.{name}": x for name, x in model.norm.state_dict().items()}
    named = {"self_attn.out_proj": "attn.proj", "linear1": "mlp.fc1", "linear2": "mlp.fc2"}
    for number, block in enumerate(model.blocks):
        for name, x in block.state_dict().items():
            theirs = name.replace("self_attn.in_proj_", "attn.qkv.")
            for ours, other in named.items():
                theirs = theirs.replace(ours, other)
            found[f"blocks.{number}.{theirs}"] = x
    return {f"encoder.{name}": x.detach().clone().contiguous() for name, x in found.items()}


def save(folder: Path, **settings: Any) -> Path:
    """A checkpoint folder as the hub has it; ``settings`` are entries of ``encoder_kwargs``."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"embed_dim": DIM, "depth": DEPTH, "num_heads": HEADS, "target_length": TARGET}
    kwargs = {**sizes, "patch_size": [64, 4], "patch_stride": [64, 4], **settings}
    config = {
        "model_type": "dasheng",
        "name": "dasheng-base",
        "auto_map": {"AutoModel": "modeling_dasheng.DashengModel"},
        "encoder_kwargs": kwargs,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(SPECTRA))
    save_file(tensors(plain()), folder / "model.safetensors", metadata={"format": "pt"})
    return folder
