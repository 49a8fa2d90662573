"""Corpora as their owners distribute them: one public module per corpus.

A module ``<name>.py`` registers ``--dataset <name>`` and defines

``INFO``
    a CorpusInfo: what ``sercache datasets <name>`` shows.
``read(root: Path) -> Corpus``
    reads labels and names, never the samples. Raises CorpusError where ``root`` is not the corpus.

A reader of corpora of one's own (``INFO.own``) takes what it is to be called, ``read(root, name="")``, and has

``holds(root: Path) -> bool``
    whether what lies there is for this reader.

What differs from the published tables is in ``Corpus.warnings``; ``check(corpus)`` says it in full.
"""

from __future__ import annotations

from sercache.datasets._check import Check, check
from sercache.datasets._own import Named, named, read, reader_at, readers, split_task, unknown
from sercache.datasets._records import (
    Corpus,
    CorpusInfo,
    Published,
    Rating,
    Skipped,
    Subset,
    Utterance,
)

__all__ = [
    "Check",
    "Corpus",
    "CorpusInfo",
    "Named",
    "Published",
    "Rating",
    "Skipped",
    "Subset",
    "Utterance",
    "check",
    "named",
    "read",
    "reader_at",
    "readers",
    "split_task",
    "unknown",
]
