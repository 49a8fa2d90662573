"""Protocols: how a corpus is split into folds, and checks that folds are what they claim."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fold:
    """Ids of the train, dev and test parts of one fold. Parts are disjoint; ``dev`` may be empty."""

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    speakers_disjoint: bool
    """Whether no speaker of the test part talks in the train or dev part: checked, not believed."""
