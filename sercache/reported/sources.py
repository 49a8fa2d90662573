"""All sources."""

from __future__ import annotations

from sercache.reported import (
    audeering,
    decoding_emotions,
    emobox,
    emotion2vec,
    speechbrain,
    superb,
    xares,
)
from sercache.reported._record import ReportedTable

_SOURCES = (emobox, superb, emotion2vec, decoding_emotions, xares, speechbrain, audeering)
"""In the order in which a run's corpus is looked up in them."""


def tables_of(dataset: str) -> tuple[ReportedTable, ...]:
    """What the sources say of a corpus."""
    return tuple(table for source in _SOURCES for table in source.TABLES if table.dataset == dataset)


def corpora() -> list[str]:
    """Corpora that a source speaks of, by their names here."""
    return sorted({table.dataset for source in _SOURCES for table in source.TABLES})
