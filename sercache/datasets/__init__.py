"""Corpora as their owners distribute them: one public module per corpus.

A module ``<name>.py`` registers ``--dataset <name>`` and is a ``CorpusReader``; that of any corpus of its kind
(``INFO.own``) is an ``OwnReader``.

What differs from the published tables is in ``Corpus.warnings``; ``check(corpus)`` says it in full.
"""

from __future__ import annotations

from sercache.datasets._check import ListCheck, assemble, check
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples._tools import write_wav as write_tone
from sercache.datasets._listeners import listener_rates, listener_votes
from sercache.datasets._named import read_named
from sercache.datasets._own import Named, named, read, reader_at, readers, split_task, unknown, writers
from sercache.datasets._reader import CorpusReader, OwnReader
from sercache.datasets._records import CorpusInfo, PublishedList, Rating, Skipped, Subset, Utterance
from sercache.datasets._spelling import key as spelling_key
from sercache.datasets._table import from_values, holds_texts, to_values, transcript_digests
from sercache.datasets._written import WrittenUtterance

__all__ = [
    "Corpus",
    "CorpusInfo",
    "CorpusReader",
    "ListCheck",
    "Named",
    "OwnReader",
    "PublishedList",
    "Rating",
    "Skipped",
    "Subset",
    "Utterance",
    "WrittenUtterance",
    "assemble",
    "check",
    "from_values",
    "holds_texts",
    "listener_rates",
    "listener_votes",
    "named",
    "read",
    "read_named",
    "reader_at",
    "readers",
    "spelling_key",
    "split_task",
    "to_values",
    "transcript_digests",
    "unknown",
    "write_tone",
    "writers",
]
