"""What a source reports of one corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ReportedTable:
    """A table of systems on one corpus, by one protocol."""

    source: str
    """Authors, year, table."""
    url: str
    dataset: str
    """Name of the corpus here."""
    n_classes: int | None
    """None where the source does not say, or judges numbers and no classes."""
    folds: str
    """How it was divided, and which speakers of the test part are trained on, in words."""
    system: str
    """What is trained, on what of the encoder, and what selects, in words."""
    metrics: tuple[str, ...]
    """By their names here: ``ua``, ``wa``, ``macro_f1``, ``ccc``."""
    rows: Mapping[str, tuple[float, ...]]
    """By the encoder as the source calls it, from 0 to 1, a number for each metric."""
    encoders: Mapping[str, str]
    """The same encoder's short name here, where there is one."""
    protocol: str = ""
    """Name here of its folds; empty where there is none, or they are not said."""
