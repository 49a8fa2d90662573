"""What the file of a family of encoders holds, and what it may hold beside that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import nn

    from sercache.encoders import Encoder
    from sercache.encoders._checkpoint import Checkpoint


class Family(Protocol):
    """The file of a family. It may also have ``NOTE`` and ``LICENCE``, lines that are shown where it is chosen,
    ``PUBLISHED``: short name -> what its authors say of the checkpoint, ``SEEN_CORPORA``: hub id -> corpora of
    emotional speech that it was trained on (``trained_on.SeenCorpus``), and ``ALIASES``: what other tools call an
    encoder -> its short name."""

    SHORT_NAMES: dict[str, str]
    """Short name -> where it comes from: a hub id, or a sentence for encoders without weights."""
    MODEL_TYPES: tuple[str, ...]
    """Values of ``model_type`` in a Hugging Face ``config.json`` that the family loads; empty for none."""

    def load(self, source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
        """The encoder. ``source`` is a hub id or a folder for families with MODEL_TYPES, else the short name.

        Raises EncoderError where the checkpoint is missing, corrupt or of another kind.
        """
        ...

    def identify(self, source: str, *, revision: str | None) -> dict[str, Any]:
        """The identity of the encoder in float32 without weights in memory (files are hashed), to find a cache."""
        ...


@runtime_checkable
class Exemplifies(Protocol):
    """A family with weights that brings a small checkpoint of its own, on which its contract is tried."""

    def example(self, folder: Path) -> Path:
        """Write a checkpoint with random weights below ``folder``; gives what ``load`` takes."""
        ...


@runtime_checkable
class TrainsTails(Protocol):
    """A family whose blocks can be trained from a cached state (``--finetune-from``)."""

    def tail(self, source: str, *, revision: str | None, boundary: str, states: Sequence[str]) -> nn.Module:
        """What lies above ``boundary``, from (B, 1, T, D) and mask (B, T) to (B, L, T, D').

        Its attribute ``READS_PADDING`` is true where blocks attend to what the encoder pads with.
        """
        ...

    def export(self, source: str, folder: Path, tail: nn.Module, *, revision: str | None) -> None:
        """Write the checkpoint with the trained tail in place."""
        ...


@runtime_checkable
class Tries(Protocol):
    """A family that also tries checkpoints of a ``model_type`` that no family lists."""

    def takes(self, checkpoint: Checkpoint) -> bool:
        """Whether it may be worth trying; ``load`` then refuses what does not fit."""
        ...


@runtime_checkable
class Owns(Protocol):
    """A family whose checkpoints are folders without config.json."""

    def owns(self, folder: Path) -> bool:
        """Whether a folder holds one of its checkpoints."""
        ...


@runtime_checkable
class OwnsOnHub(Owns, Protocol):
    """A family that also loads hub ids whose repositories hold no config.json."""

    HUB_CONFIGS: tuple[str, ...]
    """Names of the small files by which ``owns`` tells a repository; they are fetched before anything else."""


@runtime_checkable
class KnowsSizes(Protocol):
    """A family whose configurations transformers does not know, or of whose models it runs a part."""

    def size(self, config: dict[str, Any]) -> tuple[int, int, int]:
        """(blocks, D, parameters) of what ``config`` describes."""
        ...
