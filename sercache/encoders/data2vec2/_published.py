"""The published checkpoints: sizes, corpora and licences, as their authors' pages and papers say them."""

from __future__ import annotations

from typing import Any

from sercache.encoders._published import LIBRI_LIGHT, LIBRISPEECH, PublishedEncoder
from sercache.trained_on import SeenCorpus

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
_EMOBOX = "labels of corpora of EmoBox; which of them, and which parts, is not published"
PUBLISHED = {
    "emotion2vec-base": PublishedEncoder(_EMO_262, _FUNASR, _BASE),
    "emotion2vec-plus-seed": PublishedEncoder(f"{_EMO_262}; then 201 h with {_EMOBOX}", _FUNASR, _BASE),
    "emotion2vec-plus-base": PublishedEncoder(
        f"{_EMO_262}; then 4,788 h labelled by emotion2vec-plus-seed", _FUNASR, _BASE
    ),
    "emotion2vec-plus-large": PublishedEncoder(
        "42,526 h labelled by its predecessors; what it was pretrained on is not published", _FUNASR, _LARGE
    ),
    "data2vec2-audio-base": PublishedEncoder(
        LIBRISPEECH, "mit", {**_BASE, "depth": 12, "prenet_depth": 0, "n_extra_tokens": 0}
    ),
    "data2vec2-audio-large": PublishedEncoder(
        LIBRI_LIGHT, "mit", {**_LARGE, "depth": 16, "prenet_depth": 8, "n_extra_tokens": 0}
    ),
}
"""Of emotion2vec Ma et al. (2024), table 1, and the model cards; of data2vec 2.0 Baevski et al. (2023) and
examples/data2vec/config/v2 of fairseq."""

_HEARD = tuple(SeenCorpus(name, "audio") for name in ("iemocap", "meld", "mead", "cmu-mosei", "msp-podcast"))
_OF_EMOBOX = (
    "aesdd", "ased", "asvp-esd", "cafe", "casia", "cremad", "emns", "emodb", "emov-db", "emovo", "emozionalmente",
    "enterface", "esd", "iemocap", "jl-corpus", "m3ed", "mead", "meld", "mer2023", "mesd", "msp-podcast", "oreau",
    "pavoque", "polish", "ravdess", "resd", "savee", "shemo", "subesco", "tess", "turev", "urdu",
)  # fmt: skip
"""All 32 corpora of EmoBox, as the catalogue calls them."""
_WHICH = "EmoBox is named, but not which of its corpora"
_BY_PREDECESSOR = tuple(SeenCorpus(name, "pseudo-labels", _WHICH, False) for name in _OF_EMOBOX)
SEEN_CORPORA = {
    "emotion2vec/emotion2vec_base": _HEARD,
    "emotion2vec/emotion2vec_plus_seed": (
        *_HEARD,
        *(SeenCorpus(name, "labels", _WHICH, False) for name in _OF_EMOBOX),
    ),
    "emotion2vec/emotion2vec_plus_base": (*_HEARD, *_BY_PREDECESSOR),
    "emotion2vec/emotion2vec_plus_large": _BY_PREDECESSOR,
}
