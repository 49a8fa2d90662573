"""One file per paper: the rows of its tables, the printed numbers, and what to run for ours.

A module ``<paper>.py`` defines ``CITATION: str`` and ``TABLES: dict[str, Table]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sercache.report.record import Aggregate


@dataclass(frozen=True)
class Printed:
    """A number as the paper prints it."""

    mean: float
    std: float | None = None


@dataclass(frozen=True)
class AlsoTrain:
    """A second corpus, all of which is added to the training part of every fold."""

    dataset: str
    task: str
    language: str | None = None
    """Only utterances in this language; None: all."""


@dataclass(frozen=True)
class Trial:
    """What to run for ours; everything else is the head's published set-up and recipe."""

    head: str
    encoder: str
    dataset: str
    also_train: tuple[AlsoTrain, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row: printed numbers by metric, and the trial that gives ours (None: others' results)."""

    name: str
    printed: Mapping[str, Printed]
    trial: Trial | None = None


@dataclass(frozen=True)
class Table:
    """A table of a paper."""

    title: str
    metrics: tuple[str, ...]
    """Metrics in the order of the columns, named as in a Report."""
    aggregate: Aggregate
    """How one number is made of folds and seeds (see sercache.report.record)."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
