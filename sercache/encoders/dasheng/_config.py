"""What a checkpoint of Dasheng says of its shape and its spectra, once it is known to be what is written out here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sercache.encoders._checkpoint import Checkpoint, preprocessor
from sercache.errors import EncoderError

RATE = 16_000
"""Hz."""
HOP, WINDOW, N_MELS = 160, 512, 64
"""Samples, samples, bands."""
PATCH = 4
"""Spectra of a frame; it holds all bands."""
_SHAPES = {
    "dasheng-base": (768, 12, 12),
    "dasheng-0.6B": (1280, 32, 16),
    "dasheng-1.2B": (1536, 40, 24),
}
"""Name -> D, blocks, attention heads."""
_MOST = {"depth": 1_000}
"""More would take minutes to set up before it is seen that the weights are others."""
_SPECTRA: dict[str, Any] = {
    "sampling_rate": RATE,
    "feature_size": N_MELS,
    "n_fft": WINDOW,
    "win_size": WINDOW,
    "hop_size": HOP,
    "f_min": 0,
    "f_max": 8_000,
    "center": True,
}
"""Of all that are published, and the defaults of their own feature extractor."""
_FIXED: dict[str, Any] = {
    "patch_size": [N_MELS, PATCH],
    "patch_stride": [N_MELS, PATCH],
    "n_mels": N_MELS,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "init_values": None,
    "pooling": "mean",
    "init_bn": True,
    "pad_last": True,
}
"""Settings that are published with one value, which is written out."""


@dataclass(frozen=True)
class DashengShape:
    """The sizes of a checkpoint."""

    embed_dim: int
    """D."""
    depth: int
    """Blocks."""
    num_heads: int
    target_length: int = 1008
    """Spectra of a chunk."""


def read(checkpoint: Checkpoint) -> DashengShape:
    """The shape that config.json describes. Raises EncoderError for another one than is written out here."""
    return parsed(checkpoint.config, str(checkpoint.folder / "config.json"))


def parsed(config: Mapping[str, Any], path: str) -> DashengShape:
    """As ``read``; ``path`` names the file in what is raised."""
    given = config.get("encoder_kwargs") or {}
    if not isinstance(given, Mapping):
        raise EncoderError(f"{path}: encoder_kwargs is no JSON object; get the file again")
    settings = {**config, **given}
    for name, usual in _FIXED.items():
        if settings.get(name, usual) != usual:
            raise EncoderError(
                f"{path}: {name} is {settings[name]!r}, expected {usual!r} as the published checkpoints of Dasheng "
                "have it"
            )
    name = str(config.get("name", "dasheng-base"))
    usual = dict(zip(("embed_dim", "depth", "num_heads"), _SHAPES.get(name, (0, 0, 0)), strict=True))
    sizes = {key: settings.get(key, value) for key, value in {**usual, "target_length": 1008}.items()}
    for key, value in sizes.items():
        most = _MOST.get(key, 100_000)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
            raise EncoderError(
                f"{path}: {key} is {value!r}, expected a whole number from 1 to {most}, or a name of "
                f"{', '.join(_SHAPES)}"
            )
    found = DashengShape(**sizes)
    if found.embed_dim % found.num_heads or found.target_length % PATCH:
        raise EncoderError(
            f"{path}: embed_dim {found.embed_dim} and target_length {found.target_length}, expected multiples of "
            f"num_heads {found.num_heads} and of {PATCH} spectra"
        )
    return found


def preprocessing(checkpoint: Checkpoint) -> dict[str, Any]:
    """What makes the spectra. Raises EncoderError where the checkpoint asks for others."""
    settings = preprocessor(checkpoint)
    for name, usual in _SPECTRA.items():
        if settings.get(name, usual) != usual:
            raise EncoderError(
                f"{checkpoint.folder}: preprocessor_config.json has {name} {settings[name]!r}, expected {usual!r} as "
                "the published checkpoints of Dasheng have it"
            )
    source = "checkpoint" if settings else "defaults of DashengFeatureExtractor, the checkpoint has none"
    return {**_SPECTRA, "top_db": 120, "mel_scale": "htk", "from": source}
