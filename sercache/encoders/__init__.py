"""Frozen encoders: one public module per family.

A module ``<family>.py`` is a ``Family``; what one may do beside that is a small protocol each in the same file:
train what lies above a cached state, try checkpoints that no family lists, own folders without config.json, bring a
small checkpoint of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from sercache import catalog, clips, settings, trained_on
from sercache.encoders import _checkpoint, _weight_files
from sercache.encoders._computed import Computed as Computed
from sercache.encoders._computed import Feature as Feature
from sercache.encoders._computed import computed_identity as computed_identity
from sercache.encoders._computed import computed_place as computed_place
from sercache.encoders._family import Exemplifies as Exemplifies
from sercache.encoders._family import Family as Family
from sercache.encoders._family import Owns as Owns
from sercache.encoders._family import TrainsTails as TrainsTails
from sercache.encoders._family import Tries as Tries
from sercache.encoders._modules import missing_named
from sercache.encoders._windows import windowed as windowed
from sercache.errors import ContractError, EncoderError, UnknownNameError
from sercache.trained_on import TrainedOn

if TYPE_CHECKING:
    import torch
    from torch import nn


class Encoder(Protocol):
    """Frozen weights that turn waveforms into states, layer by layer.

    The features of an utterance are those of running it alone, whatever shared its batch. An encoder of text
    (``modality(encoder)``) keeps the contract with word pieces (N,) int64 in the place of samples, which its
    ``tokens(text: str) -> np.ndarray`` makes of a transcript.
    """

    name: str
    """Short name, hub id or folder name, as the user gave it."""
    identity: Mapping[str, Any]
    """What decides the numbers, as JSON values: family, source, revision, weights' sha256, preprocessing."""
    sample_rate: int
    """Hz."""
    hop: int
    """Samples from one frame to the next."""
    states: tuple[str, ...]
    """Names on offer in the order of computation: ``projection``, ``1`` … ``L``, ``final``, ``conv``, …"""
    dims: Mapping[str, int]
    """Feature size D of each state."""
    min_samples: int
    """Shortest waveform (samples) that gives a frame."""
    max_samples: int | None
    """Longest waveform (samples) that is encoded exactly; None: no limit but memory."""

    pack_frames: int
    """Frames per call of ``encode`` that run best; a batch of more is right too, but larger in memory."""

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        ...

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (state, (F, D)) for waves of (N_i,) float32, F the frames of all, one after another.

        States come one at a time, in the order of ``self.states``, and only those asked for; what lies
        above the last of them is not computed. A yielded tensor is valid until the next one is asked for.
        """
        ...


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
    family, source, shown = _resolve(name, revision)
    with missing_named(shown):
        encoder: Encoder = family.load(source, revision=revision, device=device, precision=precision)
    encoder.name = shown
    vars(encoder)[_LOADED] = Loaded(absolute(name), revision, precision)
    if catalog.digest_of(family.__name__):
        encoder.identity = _with_code(encoder.identity, family)
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
    """The identity of ``load(name, revision=revision)`` in float32, without the weights in memory.

    Raises as ``load`` does.
    """
    family, source, shown = _resolve(name, revision)
    with missing_named(shown):
        record: dict[str, Any] = family.identify(source, revision=revision)
    return _with_code(record, family)


def _with_code(identity: Mapping[str, Any], family: ModuleType) -> dict[str, Any]:
    """An identity with the digest of the file that computes, where that is not sercache's own."""
    digest = catalog.digest_of(family.__name__)
    return {**identity, "code_sha256": digest} if digest else dict(identity)


def load_tail(name: str, boundary: str, states: Sequence[str], *, revision: str | None = None) -> nn.Module:
    """What lies above a cached state of ``load(name)``, to be trained: (B, 1, T, D) and mask to (B, L, T, D').

    Raises as ``load`` does; EncoderError for families whose states cannot be trained from a cache.
    """
    family, source, shown = _resolve(name, revision)
    if not isinstance(family, TrainsTails):
        able = [each for each, module in _families().items() if isinstance(module, TrainsTails)]
        raise EncoderError(
            f"{shown} ({family.__name__.rpartition('.')[2]}) cannot be trained from a cached state; families that "
            f"can: {', '.join(able)}"
        )
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
    family, source, _ = _resolve(name, revision)
    family.export(source, folder, tail, revision=revision)
    trained_on.write(trained, folder, _weight_files.weights_sha256(_weight_files.weight_files(folder)))


def training_record(name: str, *, revision: str | None = None) -> TrainedOn | None:
    """What the weights of ``load(name)`` were trained on, of those that ``export`` wrote; None of others.

    Raises EncoderError where the record is damaged, or of other weights than lie beside it.
    """
    family, source, _ = _resolve(name, revision)
    if not isinstance(family, TrainsTails):
        return None
    return _checkpoint.record_of(_checkpoint.locate(source, revision))


def remarks(family: str) -> dict[str, str]:
    """What a family of the catalogue asks to be shown, by ``note`` and ``licence``; empty for a file of the user's."""
    if family not in catalog.names(__name__):
        return {}
    module = catalog.load(__name__, family)
    found = {constant.lower(): str(vars(module).get(constant, "")) for constant in ("NOTE", "LICENCE")}
    return {what: text for what, text in found.items() if text}


def is_local(name: str) -> bool:
    """Whether a name is the path of something of the user's: a checkpoint's folder, or a file that computes."""
    return settings.expanded(name).is_dir() or catalog.is_file(name.partition(":")[0])


def absolute(name: str) -> str:
    """What ``load`` takes for the same encoder from any folder: paths are made absolute."""
    file, colon, short = name.partition(":")
    if catalog.is_file(file):
        return f"{catalog.absolute(file)}{colon}{short}"
    folder = settings.expanded(name)
    return str(folder.absolute()) if folder.is_dir() else name


def modality(encoder: Encoder) -> Literal["audio", "text"]:
    """What an encoder takes of an utterance: its recording, or its transcript."""
    found: Literal["audio", "text"] = getattr(encoder, "modality", "audio")
    return found


def short_names() -> dict[str, tuple[str, str]]:
    """Short name -> (family, where it comes from), over all families.

    Raises ContractError where a package from outside brings a short name that there is already.
    """
    found: dict[str, tuple[str, str]] = {}
    for family, module in _families().items():
        for short, source in module.SHORT_NAMES.items():
            if short in found:
                raise ContractError(
                    f"{short} is an encoder of {found[short][0]} and of {family}, expected one: uninstall the package "
                    f"that brings {family}, or have its encoder renamed"
                )
            found[short] = family, source
    return found


def has_weights(family: str) -> bool:
    """Whether the encoders of a family are checkpoints, and not computed from the sound alone."""
    return is_checkpoints(catalog.load(__name__, family))


def is_checkpoints(family: ModuleType) -> bool:
    """Whether a family loads checkpoints, so that its short names alone give nothing to try."""
    return bool(family.MODEL_TYPES) or isinstance(family, Owns)


def named(name: str) -> dict[str, tuple[str, str]]:
    """Of ``short_names`` that of one encoder, also of a file of the user's.

    Raises UnknownNameError with the nearest names; ContractError for a file that cannot be loaded.
    """
    if catalog.is_file(name.partition(":")[0]):
        family, _, short = _resolve(name, None)
        return {short: (catalog.shown(name.partition(":")[0]), family.SHORT_NAMES[short])}
    known = short_names()
    if name not in known:
        raise UnknownNameError(catalog.unknown("encoder", name, sorted(known)))
    return {name: known[name]}


def _families() -> dict[str, ModuleType]:
    """All families by name, sercache's own first: nothing from outside takes the place of one of these."""
    own = catalog.own_names(__name__)
    others = [name for name in catalog.names(__name__) if name not in own]
    return {name: catalog.load(__name__, name) for name in (*own, *others)}


def _resolve(name: str, revision: str | None) -> tuple[ModuleType, str, str]:
    """(family, source for its ``load``, name for people)."""
    file, colon, short = name.partition(":")
    if catalog.is_file(file):
        return _of_file(file, short if colon else None)
    families = _families()
    if folder_of := settings.load().encoders.get(name):
        family, source, _ = _resolve(folder_of, revision)
        return family, source, name
    for family in families.values():
        if name in family.SHORT_NAMES:
            return family, family.SHORT_NAMES[name] if family.MODEL_TYPES else name, name
    folder = settings.expanded(name)
    if folder.is_dir():
        owners = (each for each in families.values() if isinstance(each, Owns) and each.owns(folder))
        family = next(owners, None) or _family_of(name, None, families)
        return family, str(folder), folder.resolve().name
    if folder.is_file():
        raise EncoderError(f"{name} is a file; give the folder that holds config.json and the weights")
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise EncoderError(f"{name}: there is no such folder; give one with config.json and weights")
    if name.count("/") == 1:
        return _family_of(name, revision, families), name, name
    raise UnknownNameError(catalog.unknown("encoder", name, sorted(short_names())))


def _of_file(file: str, short: str | None) -> tuple[ModuleType, str, str]:
    """As ``_resolve``, of a file of the user's; ``short``: which of its encoders."""
    family = catalog.load(__name__, file)
    own = family.SHORT_NAMES
    if taken := sorted(set(own) & set(short_names())):
        raise ContractError(f"{file} calls an encoder {taken[0]}, which there is already; call it otherwise")
    if short is None and len(own) != 1:
        ways = " or ".join(f"{file}:{each}" for each in sorted(own))
        raise UnknownNameError(
            f"{file} has {len(own)} encoders, expected one to be named: {ways or 'it has none'}"
        )
    chosen = next(iter(own)) if short is None else short
    if chosen not in own:
        raise UnknownNameError(catalog.unknown(f"encoder of {file}", chosen, sorted(own)))
    return family, own[chosen] if family.MODEL_TYPES else chosen, chosen


def _family_of(source: str, revision: str | None, families: Mapping[str, ModuleType]) -> ModuleType:
    """The family that loads the ``model_type`` of a checkpoint. Raises EncoderError where none does."""
    checkpoint = _checkpoint.locate(source, revision, weights=False)
    found = checkpoint.model_type
    for family in families.values():
        if found in family.MODEL_TYPES:
            return family
    for family in families.values():
        if found and isinstance(family, Tries) and family.takes(checkpoint):
            return family
    known = sorted(model_type for family in families.values() for model_type in family.MODEL_TYPES)
    raise EncoderError(
        f"{source} is of model_type {found or 'none'!r}, expected one of {', '.join(known)}, or another with a feature "
        "extractor for audio"
    )
