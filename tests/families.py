"""A small checkpoint of every family of encoders, and of every kind that a family knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ast_helpers as asts
import auto_helpers as auto
import conformer_helpers as conformers
import dasheng_helpers as dasheng
import data2vec2_helpers as data2vec2
import encoder_helpers as tiny
import tower_helpers as towers
import wenet_helpers as wenet

from sercache import encoders
from sercache.contracts import encoder as contract

BOUND = 2e-5
COMPUTED = [
    short
    for short, (family, _) in encoders.short_names().items()
    if not encoders.has_weights(family) and family != "text"
]
"""What the families offer without a checkpoint; words, not waves: test_encoders_text.py."""


def saver(helpers: Any, model: Any, name: str) -> Callable[[Path], Path]:
    """What writes the checkpoint ``name`` of a module of helpers into a folder."""
    return lambda folder: helpers.save(model(name), folder)


# name: (family, what writes a checkpoint of it into a folder)
CHECKPOINTS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    **{name: ("hf-speech", saver(tiny, tiny.tiny_model, name)) for name in tiny.CONFIGS},
    **{name: ("hf-conformer", saver(conformers, conformers.model, name)) for name in conformers.CONFIGS},
    **{name: ("hf-auto", partial(auto.save, name)) for name in auto.CONFIGS},
    **{name: ("audio-towers", partial(towers.save, name)) for name in towers.CONFIGS},
    "whisper": ("whisper", tiny.tiny_whisper),
    "emotion2vec": ("data2vec2", data2vec2.funasr),
    "data2vec2": ("data2vec2", data2vec2.fairseq),
    "ast": ("hf-ast", asts.save),
    "dasheng": ("dasheng", dasheng.save),
    "wenet": ("wenet", lambda folder: wenet.write(folder)[0]),
    "wenet-causal": ("wenet", lambda folder: wenet.write(folder, "causal-dynamic")[0]),
}

KEEPS = (
    contract.keeps_its_shapes,
    contract.minds_no_company,
    contract.counts_its_frames,
    contract.gives_what_is_chosen,
    contract.repeats_itself,
    contract.refuses_what_does_not_fit,
)
"""What every encoder of waves keeps to."""
