"""Encoders of Whisper checkpoints (Radford et al., 2022).

A recording is padded with silence to the 30 s window that Whisper was trained on, and its features are
the first ceil(N / 320) of the 1500 frames (20 ms each). States: ``input`` (of block 1, positions added),
``1`` … ``L`` (raw block outputs), ``final`` (after the closing LayerNorm). Only the encoder's weights are
loaded, and arithmetic is float32 whatever the checkpoint stores. Blocks attend to the silence as well, so that they are
trained from a cache that holds its frames too (clip rule ``whole``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.encoders import Encoder, _checkpoint, _checkpoint_family, _loading, _whisper_settings
from sercache.encoders._published import PublishedEncoder

if TYPE_CHECKING:
    from torch import nn

SHORT_NAMES = {
    "whisper-tiny": "openai/whisper-tiny",
    "whisper-tiny.en": "openai/whisper-tiny.en",
    "whisper-base": "openai/whisper-base",
    "whisper-base.en": "openai/whisper-base.en",
    "whisper-small": "openai/whisper-small",
    "whisper-small.en": "openai/whisper-small.en",
    "whisper-medium": "openai/whisper-medium",
    "whisper-medium.en": "openai/whisper-medium.en",
    "whisper-large": "openai/whisper-large",
    "whisper-large-v2": "openai/whisper-large-v2",
    "whisper-large-v3": "openai/whisper-large-v3",
    "whisper-large-v3-turbo": "openai/whisper-large-v3-turbo",
}
_SIZES = {"tiny": (4, 384, 6), "base": (6, 512, 8), "small": (12, 768, 12), "medium": (24, 1024, 16)}
_LARGE = (32, 1280, 20)
"""Blocks, dimensions, attention heads."""


def _published(name: str) -> PublishedEncoder:
    size = name.removeprefix("whisper-")
    blocks, dim, heads = _SIZES.get(size.removesuffix(".en"), _LARGE)
    data = "labels of 680,000 h in 97 languages from the web"
    if size.endswith(".en"):
        data = "labels of 438,000 h of English from the web"
    if "v3" in size:
        data = "labels of 1,000,000 h and pseudo-labels of 4,000,000 h from the web, in 99 languages"
    settings = {
        "model_type": "whisper",
        "encoder_layers": blocks,
        "d_model": dim,
        "encoder_attention_heads": heads,
        "encoder_ffn_dim": 4 * dim,
        "num_mel_bins": 128 if "v3" in size else 80,
        "decoder_layers": 1,
        "decoder_attention_heads": heads,
    }
    return PublishedEncoder(data, "apache-2.0", settings)


PUBLISHED = {name: _published(name) for name in SHORT_NAMES}
MODEL_TYPES = ("whisper",)


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another kind.
    """
    from sercache.encoders._whisper import WhisperStates

    found = _checkpoint_family.load(_FAMILY, source, revision=revision, device=device, precision=precision)
    return WhisperStates(found.model, found.preprocessing, found.placed)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _checkpoint_family.identify(_FAMILY, source, revision)


def tail(source: str, *, revision: str | None, boundary: str, states: Sequence[str]) -> nn.Module:
    """The blocks above the cached state ``boundary`` up to ``states``, to be trained with a head.

    Raises EncoderError as ``load`` does, UnknownNameError for states that do not lie above the boundary.
    """
    from sercache.encoders._whisper_tail import WhisperTail

    return WhisperTail(
        _checkpoint_family.whole(_FAMILY, _checkpoint.locate(source, revision)), boundary, states
    )


def export(source: str, folder: Path, tail: nn.Module, *, revision: str | None) -> None:
    """Write ``source`` with the trained blocks of ``tail`` in place as a Hugging Face folder, with the decoder if any.

    Raises EncoderError as ``load`` does.
    """
    from sercache.encoders._whisper import with_decoder
    from sercache.encoders._whisper_tail import WhisperTail

    assert isinstance(tail, WhisperTail)
    checkpoint = _checkpoint.locate(source, revision)
    absent: list[str] = []
    model: Any = _loading.load_whole(checkpoint, lambda: with_decoder(checkpoint, absent), r"^decoder\.")
    tail.give_back(model.encoder)
    _checkpoint.write(model, checkpoint, folder, absent)


def _preprocessing(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    return _whisper_settings.read(checkpoint, 80)


def _build(checkpoint: _checkpoint.Checkpoint) -> tuple[Any, Sequence[str]]:
    from sercache.encoders._whisper import build

    return build(checkpoint)


_FAMILY = _checkpoint_family.CheckpointFamily("whisper", _preprocessing, _build)
