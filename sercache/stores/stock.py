"""What of a store's stock view is out of date: index arrays and tables, which follow from the commit records.

``ledger/view.json`` lists the commits that the view shows. Writers rewrite what other commits touch, and no
more; where the note is missing, damaged, or names a commit that is gone, all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sercache.errors import DamagedStoreError
from sercache.objects import mirror
from sercache.stores import checked_json
from sercache.stores.durable import make_folder, replace_file
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger, RecordRow
from sercache.stores.schema import MOST_NUMBER

Put = Callable[[str, bytes], None]
"""Writes a file of the store, named relative to it, durably, unless it holds that already."""


def putter(layout: Layout, temporary: Callable[[], Path]) -> Put:
    """What writes files of the view."""

    def put(name: str, data: bytes) -> None:
        path = layout.path / name
        if path.exists() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return
        make_folder(path.parent)
        mirror.send(path, data)
        replace_file(path, temporary(), data)

    return put


@dataclass(frozen=True)
class StockView:
    """Where files of the view go, and whether all of them are asked for or only what is out of date."""

    put: Put
    remove: Callable[[str], object] = lambda name: None
    everything: bool = True

    def begin(self, ledger: Ledger) -> list[RecordRow] | None:
        """Places that the view may show otherwise than they are; None: all of them. Notes that they are written now."""
        if self.everything:
            return None
        places = stale(ledger)
        if places != []:
            note_begun(ledger, self.put)
        return places


def on_disk(layout: Layout, temporary: Callable[[], Path]) -> StockView:
    """The view as it lies on the disk."""
    return StockView(
        putter(layout, temporary), lambda name: (layout.path / name).unlink(missing_ok=True), everything=False
    )


def note_path(ledger: Path) -> Path:
    """The file that says what the view shows."""
    return ledger / "view.json"


def stale(ledger: Ledger) -> list[RecordRow] | None:
    """Places that the view may show otherwise than they are; None: all of them."""
    shown = shown_by(note_path(ledger.folder))
    if shown is None or not shown.issubset(ledger.records):
        return None
    new = [record for number, record in ledger.records.items() if number not in shown]
    places = [(record, row) for record in new for row in range(len(record.ids))]
    # Of ids that the new records list or drop, other commits may have copies: these came or went.
    names = chain.from_iterable([*record.ids, *(id for _, id in record.drops)] for record in new)
    return places + [place for id in names for place in ledger.copies(id)]


def shown_by(note: Path) -> set[int] | None:
    """Numbers of the commits that the view shows, or showed before it was last begun; None where that is not known."""
    try:
        ranges = checked_json.load(note, "it is made anew")["commits"]
        if sum(last + 1 - first for first, last in ranges) > MOST_NUMBER:
            return None
        return set(chain.from_iterable(range(first, last + 1) for first, last in ranges))
    except (FileNotFoundError, DamagedStoreError, KeyError, TypeError, ValueError):
        return None


def is_begun(note: Path) -> bool:
    """Whether files of the view were being written when the note was: each may show some time between then and now."""
    try:
        return bool(checked_json.load(note, "it is made anew").get("begun"))
    except (FileNotFoundError, DamagedStoreError, AttributeError):
        return False


def note_begun(ledger: Ledger, put: Put) -> None:
    """Note, before files of the view are written, that a writer that dies leaves some of them new and some old."""
    shown = shown_by(note_path(ledger.folder)) or set()
    _note(ledger, put, {"commits": _ranges(sorted(shown)), "begun": True})


def note_shown(ledger: Ledger, put: Put) -> None:
    """Note that the view shows all commits of ``ledger``."""
    _note(ledger, put, {"commits": _ranges(sorted(ledger.records))})


def _note(ledger: Ledger, put: Put, note: dict[str, object]) -> None:
    put(str(note_path(ledger.folder).relative_to(ledger.folder.parent)), checked_json.dump(note))


def _ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Ascending numbers as [first, last] of each unbroken range."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
