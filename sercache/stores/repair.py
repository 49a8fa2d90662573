"""Taking what is damaged out of a store, so that extracting again puts it back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from sercache.stores import accounting, checking, checkpoints, commits, layout, roster
from sercache.stores.commits import Record
from sercache.stores.contract import Damage
from sercache.stores.durable import make_folder, read_faults_named, write_faults_named
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger
from sercache.stores.roster import Registration
from sercache.stores.writer import Writer
from sercache.system import sync_path


def find_damage(path: Path, progress: Callable[[int], object]) -> list[Damage]:
    """Everything that is damaged in the store at ``path``, commit records included (see ``checking.check``).

    Raises StoreError where there is no store, DamagedStoreError where ``spec.json`` cannot be read.
    """
    opened = layout.load(path)
    with read_faults_named(opened.path, opened.path):
        ledger, damaged = _ledger(opened)
        reason = "the commit record is damaged; its utterances are lost"
        found = [Damage("", file, reason, "record") for file in damaged]
        found += checking.check_checkpoints(ledger) + checking.check(opened, ledger, progress)
        return found + accounting.check(opened, ledger)


def drop(path: Path, damage: Iterable[Damage]) -> list[str]:
    """Make damaged utterances count as absent; gives their ids. A crash leaves it done or not done.

    Damaged commit records and notes are set aside in ``ledger/damaged``; a damaged file takes all its utterances
    along. Files that no record names are removed, derived ones written anew; other bytes stay on disk.
    """
    opened, found = layout.load(path), list(damage)
    root = opened.path.resolve()
    files = {fault.path.resolve() for fault in found if not fault.id}
    with write_faults_named(opened.path), roster.short_lock(opened.ledger):
        roster.make_folders(opened.ledger)
        if any(file.parent in (root / "ledger/commits", root / "ledger/checkpoints") for file in files):
            checkpoints.remove(opened.ledger)
        for file in sorted(files):
            if file.parent == root / "ledger/commits":
                _set_aside(file)
        accounting.mend(opened, found)
        ledger, unreadable = _ledger(opened)
        if not unreadable and any(fault.kind in ("record", "orphan") for fault in found):
            for orphan in accounting.orphans(opened, ledger):
                orphan.unlink(missing_ok=True)
    named = {fault.id for fault in found if fault.id}
    drops = [
        (record.number, id)
        for record, rows in ledger.live()
        for whole in [any(root / name in files for name in commits.file_names(record))]
        for id in (record.ids[row] for row in rows)
        if whole or id in named
    ]
    gone = {id for _, id in drops}
    # Other commits of the same ids would come to light unchecked: they go as well.
    drops += [(r.number, id) for r in ledger.records.values() for id in r.ids if id in gone]
    if drops:
        _commit_drops(opened, sorted(set(drops)), ledger.highest)
    if not unreadable:
        Writer(opened).close()  # which writes anew what stock readers go by
    return sorted(gone)


def dropped(path: Path) -> list[str]:
    """Ids that were taken out of the store at ``path`` and that no commit has put back. Raises as ``drop``."""
    opened = layout.load(path)
    with read_faults_named(opened.path, opened.path):
        ledger, _ = _ledger(opened)
    gone = {id for record in ledger.records.values() for _, id in record.drops}
    return sorted(id for id in gone if ledger.find(id) is None)


def _ledger(opened: Layout) -> tuple[Ledger, list[Path]]:
    ledger, damaged = Ledger(opened.ledger, believes_checkpoints=False), list[Path]()
    ledger.refresh(damaged)
    return ledger, damaged


def _set_aside(file: Path) -> None:
    aside = file.parents[1] / "damaged"
    make_folder(aside)
    if file.exists():
        file.replace(aside / file.name)
    else:
        (aside / file.name).touch()  # its number is not used again, and nobody looks for it any more
    sync_path(aside)
    sync_path(file.parent)


def _commit_drops(opened: Layout, drops: list[tuple[int, str]], above: int) -> None:
    with write_faults_named(opened.path):
        with roster.short_lock(opened.ledger):
            registration = Registration(opened.ledger)
        try:
            number = registration.claim(above, lambda number: True)
            commits.publish(opened.ledger, Record(number, drops=drops), registration.temporary())
        finally:
            registration.close()
