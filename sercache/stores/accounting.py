"""Accounting for every file of a store that holds no features: derived ones, notes, records, and what nobody names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sercache import trained_on
from sercache.errors import DamagedStoreError
from sercache.objects import mirror
from sercache.stores import checked_json, commits, formats, lines, roster, schema, stock, use
from sercache.stores.contract import Damage
from sercache.stores.durable import read_whole, repair_command
from sercache.stores.hdf5 import FORMER_TABLE
from sercache.stores.kept import listed
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger
from sercache.stores.stock import StockView

NOTES = ("origin.json", "skipped.json", "hub.json", trained_on.FILE, use.NOTE)
"""Small files beside the records, each with its checksum."""
NOTE_FOLDERS = ("splits",)
"""Folders of further ones."""


def check(layout: Layout, ledger: Ledger) -> list[Damage]:
    """What is wrong with files that hold no features. Of commit records that are damaged nothing follows."""
    found = list(_notes(layout))
    with roster.short_lock_where_possible(layout.ledger):
        damaged: list[Path] = []
        ledger.refresh(damaged)
        found += _missing_records(ledger)
        if not damaged:
            found += _derived(layout, ledger)
            found += [
                Damage(
                    "", path, "no commit record names it: a record was deleted, or a copy was left", "orphan"
                )
                for path in orphans(layout, ledger)
            ]
    return found


def _missing_records(ledger: Ledger) -> Iterator[Damage]:
    """Commits that the view has shown and whose records are gone."""
    known = set(ledger.records)
    for folder in (ledger.folder / "commits", ledger.folder / "damaged"):
        known.update(commits.numbers(folder) if folder.is_dir() else ())
    for number in sorted((stock.shown_by(stock.note_path(ledger.folder)) or set()) - known):
        path = commits.record_path(ledger.folder, number)
        yield Damage("", path, "the commit record is missing; its utterances are lost", "record")


def _notes(layout: Layout) -> Iterator[Damage]:
    folders = [layout.ledger / name for name in NOTE_FOLDERS]
    for path in (
        *(layout.ledger / name for name in NOTES),
        *(path for folder in folders for path in folder.glob("*")),
    ):
        if path.exists() or path.is_symlink():
            try:
                checked_json.load_note(path, repair_command(layout.path))
            except DamagedStoreError as fault:
                yield Damage("", path, str(fault), "note")
    table = layout.ledger / lines.CORPUS
    if table.exists() or table.is_symlink():
        try:
            lines.check(table, repair_command(layout.path))
        except DamagedStoreError as fault:
            yield Damage("", table, str(fault), "note")


def _derived(layout: Layout, ledger: Ledger) -> list[Damage]:
    """Derived files that are not what follows from the commits that they are to show.

    A writer that was killed leaves the view of some time before, or half of it of now: both are no damage.
    """
    note = stock.note_path(ledger.folder)
    if stock.is_begun(note):  # the next writer, or --repair, writes it whole
        return []
    shown = stock.shown_by(note)
    wrong = set(_differing(layout, ledger))
    if wrong and shown is not None and shown < set(ledger.records):
        before = Ledger(ledger.folder)
        for number in sorted(shown):
            before.add(ledger.records[number])
        wrong &= set(_differing(layout, before))
    name = note.relative_to(layout.path).as_posix()
    if name in wrong and (shown is not None or not note.exists()):
        wrong.remove(name)  # of an earlier time, or the store of an earlier version
    reason = "it differs from what the commit records say; stock readers go by it"
    return [Damage("", layout.path / each, reason, "derived") for each in sorted(wrong)]


def _differing(layout: Layout, ledger: Ledger) -> Iterator[str]:
    expected = expected_files(layout, ledger)
    mirror.fetch(layout.path, expected)
    former = layout.path / FORMER_TABLE
    if layout.format == "hdf5" and former.exists():  # the one table of an earlier version
        tables = [data for name, data in sorted(expected.items()) if name.endswith(".csv")]
        rows = [tables[0], *(data.partition(b"\n")[2] for data in tables[1:])]
        expected = {FORMER_TABLE: b"".join(rows)}
    for name, data in expected.items():
        try:
            if read_whole(layout.path / name) != data:
                yield name
        except (OSError, DamagedStoreError):
            yield name


def expected_files(layout: Layout, ledger: Ledger) -> dict[str, bytes]:
    """All derived files, by name, as they follow from the commit records."""
    found: dict[str, bytes] = {}
    formats.load(layout.format).refresh(layout, ledger, StockView(found.__setitem__))
    return found


def orphans(layout: Layout, ledger: Ledger) -> list[Path]:
    """Files beside the features that no record names; none where writers, or claims of the dead, may explain them."""
    if roster.is_in_use(layout.ledger):
        return []
    named = {name for record in ledger.records.values() for name in commits.file_names(record)}
    named |= set(expected_files(layout, ledger))
    found = []
    for folder in schema.FOLDERS:
        for path in listed(layout.path / folder):
            # Hidden ones are the system's: of file servers, of who looked into the folder.
            if path.relative_to(layout.path).as_posix() not in named and not path.name.startswith("."):
                found.append(path)
    return sorted(found)


def mend(layout: Layout, damage: list[Damage]) -> None:
    """Set damaged notes aside and have the view written anew; call under the store's short lock."""
    for fault in damage:
        if fault.kind == "note":
            aside = layout.ledger / "damaged"
            aside.mkdir(exist_ok=True)
            fault.path.replace(aside / fault.path.name)
    if any(fault.kind in ("derived", "orphan", "record") for fault in damage):
        stock.note_path(layout.ledger).unlink(missing_ok=True)  # so that all of the view is written anew
