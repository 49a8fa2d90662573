"""Frozen encoders: one public module per family.

A module ``<family>.py`` is a ``Family``; what one may do beside that is a small protocol each in the same file:
train what lies above a cached state, try checkpoints that no family lists, own folders without config.json, bring a
small checkpoint of itself. ``__all__`` is what other rooms may use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from sercache import catalog, clips, trained_on
from sercache.claims import on_the_way
from sercache.encoders import _checkpoint, _weight_files
from sercache.encoders._arguments import placement
from sercache.encoders._card import EncoderCard, card
from sercache.encoders._checkpoint import Checkpoint
from sercache.encoders._checkpoint import identity as checkpoint_identity
from sercache.encoders._checkpoint import locate as locate_checkpoint
from sercache.encoders._computed import Computed, Feature, computed_identity, computed_place
from sercache.encoders._devices import device_kind, on_devices, with_device, without_device
from sercache.encoders._encoder import Encoder
from sercache.encoders._family import (
    Exemplifies,
    Family,
    KnowsSizes,
    Owns,
    OwnsOnHub,
    TrainsTails,
    Tries,
)
from sercache.encoders._faults import pass_on
from sercache.encoders._loading import load_whole as load_checkpoint
from sercache.encoders._modules import missing, missing_named
from sercache.encoders._names import (
    ROOM,
    absolute,
    families,
    has_weights,
    is_checkpoints,
    is_local,
    named,
    own_name,
    resolve,
    short_names,
)
from sercache.encoders._seen import seen_corpora
from sercache.encoders._windows import windowed
from sercache.errors import EncoderError
from sercache.trained_on import TrainedOn

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Checkpoint",
    "Computed",
    "Encoder",
    "EncoderCard",
    "Exemplifies",
    "Family",
    "Feature",
    "KnowsSizes",
    "Loaded",
    "Owns",
    "OwnsOnHub",
    "TrainsTails",
    "Tries",
    "absolute",
    "card",
    "check_trainable",
    "checkpoint_identity",
    "computed_identity",
    "computed_place",
    "device_kind",
    "export",
    "families",
    "has_weights",
    "identify",
    "is_checkpoints",
    "is_local",
    "load",
    "load_checkpoint",
    "load_tail",
    "loaded_from",
    "locate_checkpoint",
    "missing",
    "modality",
    "named",
    "on_devices",
    "own_name",
    "pass_on",
    "placement",
    "remarks",
    "seen_corpora",
    "short_names",
    "training_record",
    "windowed",
    "without_device",
]


def load(
    name: str,
    *,
    revision: str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    clip: str = "none",
) -> Encoder:
    """The encoder that ``name`` means: a short name, a local folder with config.json, a hub id, or a file of yours.

    A file that has several encoders is named with one behind a colon: ``./my_encoder.py:small``.
    ``clip``: the rule that recordings are cut by, of which windows are the encoder's part (``windowed``).
    Raises UnknownNameError with the nearest names, EncoderError where the checkpoint cannot be had or used,
    SettingsError for a clip rule that cannot be read or windows that do not suit the encoder, ContractError for what
    comes from outside sercache and cannot be loaded.
    """
    rule = clips.parse(clip)
    with on_the_way(f"loading encoder {name}"):
        family, source, shown = resolve(name, revision)
        with missing_named(shown):
            encoder: Encoder = family.load(source, revision=revision, device=device, precision=precision)
    encoder.name = shown
    vars(encoder)[_LOADED] = Loaded(absolute(name), revision, precision)
    encoder.identity = with_device(_with_code(encoder.identity, family), device)
    return windowed(encoder, rule)


@dataclass(frozen=True)
class Loaded:
    """What ``load`` was given for an encoder."""

    name: str
    """Paths are absolute."""
    revision: str | None
    precision: str


_LOADED = "loaded_from"


def loaded_from(encoder: Encoder) -> Loaded | None:
    """What ``load`` was given for this encoder; None for one that was made in another way."""
    found = vars(encoder).get(_LOADED)
    return found if isinstance(found, Loaded) else None


def identify(name: str, *, revision: str | None = None) -> dict[str, Any]:
    """The identity of ``load(name, revision=revision)`` in float32 on the CPU, without the weights in memory.

    Raises as ``load`` does.
    """
    family, source, shown = resolve(name, revision)
    with missing_named(shown):
        record: dict[str, Any] = family.identify(source, revision=revision)
    return _with_code(record, family)


def _with_code(identity: Mapping[str, Any], family: ModuleType) -> dict[str, Any]:
    """An identity with the digest of the file that computes, where that is not sercache's own."""
    digest = catalog.digest_of(family.__name__)
    return {**identity, "code_sha256": digest} if digest else dict(identity)


def check_trainable(name: str, *, revision: str | None = None) -> None:
    """Raise EncoderError for an encoder of a family whose blocks cannot be trained; what ``load`` raises for others."""
    family, _, shown = resolve(name, revision)
    if not isinstance(family, TrainsTails):
        able = [each for each, module in families().items() if isinstance(module, TrainsTails)]
        raise EncoderError(
            f"{shown} ({family.__name__.rpartition('.')[2]}) cannot be trained from a cached state, as encoders of "
            f"{', '.join(able)} can; leave it frozen with --finetune-from none"
        )


def load_tail(name: str, boundary: str, states: Sequence[str], *, revision: str | None = None) -> nn.Module:
    """What lies above a cached state of ``load(name)``, to be trained: (B, 1, T, D) and mask to (B, L, T, D').

    Raises as ``load`` does; EncoderError for families whose states cannot be trained from a cache.
    """
    check_trainable(name, revision=revision)
    family, source, shown = resolve(name, revision)
    with missing_named(shown):
        module: nn.Module = family.tail(source, revision=revision, boundary=boundary, states=states)
    return module


def export(
    name: str, folder: Path, tail: nn.Module, trained: TrainedOn, *, revision: str | None = None
) -> None:
    """Write ``name`` with the trained blocks of ``tail`` in place, as a folder that ``load`` takes.

    ``trained`` says what they were trained on; it lies beside the weights, with their digest.
    Raises as ``load_tail`` does.
    """
    family, source, _ = resolve(name, revision)
    family.export(source, folder, tail, revision=revision)
    trained_on.write(trained, folder, _weight_files.weights_sha256(_weight_files.weight_files(folder)))


def training_record(name: str, *, revision: str | None = None) -> TrainedOn | None:
    """What the weights of ``load(name)`` were trained on, of those that ``export`` wrote; None of others.

    Raises EncoderError where the record is damaged, or of other weights than lie beside it.
    """
    family, source, _ = resolve(name, revision)
    if not isinstance(family, TrainsTails):
        return None
    return _checkpoint.record_of(_checkpoint.locate(source, revision))


def remarks(family: str) -> dict[str, str]:
    """What a family of the catalogue asks to be shown, by ``note`` and ``licence``; empty for a file of the user's."""
    if family not in catalog.names(ROOM):
        return {}
    module = catalog.load(ROOM, family)
    found = {constant.lower(): str(vars(module).get(constant, "")) for constant in ("NOTE", "LICENCE")}
    return {what: text for what, text in found.items() if text}


def modality(encoder: Encoder) -> Literal["audio", "text"]:
    """What an encoder takes of an utterance: its recording, or its transcript."""
    found: Literal["audio", "text"] = getattr(encoder, "modality", "audio")
    return found
