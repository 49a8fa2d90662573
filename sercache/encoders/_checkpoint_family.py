"""Families of checkpoints with a config.json: what tells one from another, and how all of them are loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sercache.encoders import _checkpoint
from sercache.encoders._checkpoint import Checkpoint, WeightsPart
from sercache.encoders._loading import load_whole

if TYPE_CHECKING:
    from sercache.encoders._placed import Placed


@dataclass(frozen=True)
class CheckpointFamily:
    """What a family's checkpoints have in common."""

    name: str
    """As it stands in identities."""
    preprocessing: Callable[[Checkpoint], Mapping[str, Any]]
    """What decides how a recording reaches the module, from the settings of a checkpoint. Raises EncoderError."""
    build: Callable[[Checkpoint], tuple[Any, Sequence[str]]]
    """The module in float32 with the weights of a checkpoint, and the names of the tensors that it lacks."""
    may_miss: str = r"$^"
    """Pattern of tensors that play no part in the states."""
    part: WeightsPart | None = None
    """What of a larger model is used."""


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint in memory, of which an Encoder is made."""

    model: Any
    """The module in float32 on the CPU."""
    preprocessing: Mapping[str, Any]
    placed: Placed


def load(
    family: CheckpointFamily, source: str, *, revision: str | None, device: str, precision: str
) -> LoadedCheckpoint:
    """What is needed for the encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another kind.
    """
    from sercache.encoders._arguments import placement
    from sercache.encoders._placed import Placed

    place, dtype = placement(device, precision)
    checkpoint = _checkpoint.locate(source, revision, part=family.part)
    preprocessing = family.preprocessing(checkpoint)
    model = whole(family, checkpoint)
    record = _checkpoint.identity(checkpoint, family.name, preprocessing)
    identity = _checkpoint.with_precision(record, precision)
    return LoadedCheckpoint(model, preprocessing, Placed(source, identity, place, dtype))


def identify(family: CheckpointFamily, source: str, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives, without weights in memory. Raises EncoderError."""
    checkpoint = _checkpoint.locate(source, revision, part=family.part)
    return _checkpoint.identity(checkpoint, family.name, family.preprocessing(checkpoint))


def whole(family: CheckpointFamily, checkpoint: Checkpoint) -> Any:
    """The module of a checkpoint, frozen, once every tensor of it is known to come from there. Raises EncoderError."""
    return load_whole(checkpoint, lambda: family.build(checkpoint), family.may_miss)


def auto_model(checkpoint: Checkpoint) -> tuple[Any, Sequence[str]]:
    """As ``CheckpointFamily.build``: what transformers takes a checkpoint for."""
    import torch
    from transformers import AutoModel

    model, report = AutoModel.from_pretrained(
        checkpoint.folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    return model, sorted(report["missing_keys"])
