"""All sources."""

from __future__ import annotations

from sercache.reported import emobox
from sercache.reported._record import ReportedTable

_SOURCES = (emobox,)


def tables_of(dataset: str) -> tuple[ReportedTable, ...]:
    """What the sources say of a corpus."""
    return tuple(table for source in _SOURCES for table in source.TABLES if table.dataset == dataset)


def corpora() -> list[str]:
    """Corpora that a source speaks of, by their names here."""
    return sorted({table.dataset for source in _SOURCES for table in source.TABLES})
