"""Dasheng (Dinkel et al., 2024): masked autoencoders of 272,356 h of speech, sounds and music, written out.

Checkpoints are those of the hub (``model_type`` dasheng), whose own code is not run. A frame is 40 ms: four spectra of
64 mel bands. A recording longer than a chunk (1008 spectra, 10.08 s) passes in chunks that do not hear one another, the
last one filled up with zeros, as the owners' code has it; theirs drops a last chunk that is full, this does not.
States: ``input`` (of block 1, positions added), ``1`` … ``L`` (raw block outputs), ``final`` (after the closing
LayerNorm).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sercache.encoders import Encoder, _checkpoint, _checkpoint_family
from sercache.encoders._published import PublishedEncoder
from sercache.encoders.dasheng import _config

SHORT_NAMES = {
    "dasheng-base": "mispeech/dasheng-base",
    "dasheng-0.6b": "mispeech/dasheng-0.6B",
    "dasheng-1.2b": "mispeech/dasheng-1.2B",
}
_DATA = "272,356 h of speech, sounds and music"
PUBLISHED = {
    short: PublishedEncoder(
        _DATA, "apache-2.0", {"model_type": "dasheng", "name": source.removeprefix("mispeech/")}
    )
    for short, source in SHORT_NAMES.items()
}
MODEL_TYPES = ("dasheng",)


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt, or of another shape than Dasheng's.
    """
    from sercache.encoders.dasheng._encoder import DashengEncoder

    found = _checkpoint_family.load(_FAMILY, source, revision=revision, device=device, precision=precision)
    return DashengEncoder(found.model, found.placed)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _checkpoint_family.identify(_FAMILY, source, revision)


def size(config: dict[str, Any]) -> tuple[int, int, int]:
    """(blocks, D, parameters) of what ``config`` describes."""
    import torch

    from sercache.encoders.dasheng import _model

    found = _config.parsed(config, "config.json")
    with torch.device("meta"):
        model = _model.Dasheng(found)
    return found.depth, found.embed_dim, sum(each.numel() for each in model.parameters())


def _preprocessing(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    _config.read(checkpoint)  # a shape that is not written out here is told first
    return _config.preprocessing(checkpoint)


def _build(checkpoint: _checkpoint.Checkpoint) -> tuple[Any, Sequence[str]]:
    from sercache.encoders.dasheng import _model

    return _model.build(checkpoint, _config.read(checkpoint))


_FAMILY = _checkpoint_family.CheckpointFamily("dasheng", _preprocessing, _build)
