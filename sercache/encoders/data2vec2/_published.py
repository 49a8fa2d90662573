"""The published checkpoints: sizes, corpora and licences, as their authors' pages and papers say them."""

from __future__ import annotations

from typing import Any

from sercache.encoders._published import LIBRI_LIGHT, LIBRISPEECH, PublishedEncoder

_BASE: dict[str, Any] = {
    "convolutions": ((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2),
    "mode": "layer_norm",
    "dim": 768,
    "n_heads": 12,
    "depth": 8,
    "prenet_depth": 4,
    "mlp_ratio": 4.0,
    "norm_eps": 1e-5,
    "position_width": 95,
    "position_depth": 5,
    "position_groups": 16,
    "n_extra_tokens": 10,
    "n_alibi_heads": 12,
    "scale_per_layer": False,
    "scale_per_head": True,
    "normalize": True,
}
_LARGE = {**_BASE, "dim": 1024, "n_heads": 16, "n_alibi_heads": 16}
_FUNASR = "that of github.com/modelscope/FunASR for its models"
_EMO_262 = f"{LIBRISPEECH}; then IEMOCAP, MELD, MEAD, CMU-MOSEI and MSP-Podcast, 262 h (English)"
_SEED = f"{_EMO_262}; then labels of EmoBox's corpora, 201 h"
PUBLISHED = {
    "emotion2vec-base": PublishedEncoder(_EMO_262, _FUNASR, _BASE),
    "emotion2vec-plus-seed": PublishedEncoder(_SEED, _FUNASR, _BASE),
    "emotion2vec-plus-base": PublishedEncoder(
        f"{_SEED}; then 4,788 h labelled by emotion2vec-plus-seed", _FUNASR, _BASE
    ),
    "emotion2vec-plus-large": PublishedEncoder(
        f"42,526 h labelled by its predecessors, which are trained on {_SEED}", _FUNASR, _LARGE
    ),
    "data2vec2-audio-base": PublishedEncoder(
        LIBRISPEECH, "mit", {**_BASE, "depth": 12, "prenet_depth": 0, "n_extra_tokens": 0}
    ),
    "data2vec2-audio-large": PublishedEncoder(
        LIBRI_LIGHT, "mit", {**_LARGE, "depth": 16, "prenet_depth": 8, "n_extra_tokens": 0}
    ),
}
"""Of emotion2vec Ma et al. (2024), table 1, and the model cards; of data2vec 2.0 Baevski et al. (2023) and
examples/data2vec/config/v2 of fairseq. What Large of emotion2vec+ was initialised from is not published."""
