"""What a page shows beside the report itself: words and sound of utterances, their places on a map, other runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sercache.report.render import ReportTable


@dataclass(frozen=True, eq=False)
class VectorPlaces:
    """Utterances in the plane."""

    what: str
    """Whose vectors these are, and how they came into the plane."""
    ids: tuple[str, ...]
    places: np.ndarray
    """(U, 2)."""


@dataclass(frozen=True)
class PageExtras:
    """What is known of the utterances of a run beside what its report says."""

    transcripts: Mapping[str, str] = field(default_factory=dict)
    """By id."""
    clips: Mapping[str, bytes] = field(default_factory=dict)
    """Sound by id, Opus in Ogg."""
    maps: tuple[VectorPlaces, ...] = ()
    notes: tuple[str, ...] = ()
    """What is not shown, or not whole, and why."""
    pairs: ReportTable | None = None
    """This run against others on the same utterances."""
    index: str = ""
    """Relative address of the page that lists this run among others; empty where there is none."""


NOTHING = PageExtras()
