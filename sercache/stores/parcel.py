"""What of a store is sent to another machine: all that its commits name, and nothing of who made it."""

from __future__ import annotations

import re
from pathlib import Path

from sercache import trained_on
from sercache.errors import StoreError
from sercache.stores import accounting, commits, layout, lines, roster
from sercache.stores.durable import read_faults_named
from sercache.stores.hdf5 import FORMER_TABLE
from sercache.stores.ledger import Ledger

_NOTES = ("skipped.json", trained_on.FILE, lines.CORPUS, "view.json", "zarr.json")
_NAMES = re.compile(
    r"zarr\.json|utterances\.csv|utterances/\d+\.csv|[a-z_]+/(zarr\.json|c[./\d]+|\d+\.h5)"
    r"|ledger/(spec|view|skipped|zarr|trained_on|origin)\.json|ledger/corpus\.jsonl"
    r"|ledger/(commits|splits)/[\w-]+\.json|ledger/checkpoints/[\w-]+\.bin"
)


def names(path: Path) -> list[str]:
    """The files of the store at ``path``, relative to it, each behind those that it names; ``spec.json`` is the last.

    Where it lay and what command made it (``origin.json``) is not among them. Raises StoreError where somebody may be
    writing to it.
    """
    opened = layout.load(path)
    with read_faults_named(opened.path, opened.path):
        roster.check_nobody_writes(path, opened.ledger)
        if roster.is_in_use(opened.ledger):
            raise StoreError(
                f"{path} is being written to, or a writer was killed at it; wait for its end, or run the extraction "
                "again to clear up"
            )
        ledger = Ledger(opened.ledger)
        ledger.refresh()
        features = [name for record in ledger.records.values() for name in commits.file_names(record)]
        derived = sorted(accounting.expected_files(opened, ledger))
        records = [commits.record_path(opened.ledger, number) for number in sorted(ledger.records)]
        more = [
            *sorted((opened.ledger / "splits").glob("*.json")),
            *(opened.ledger / name for name in _NOTES),
        ]
        found = [
            *features,
            *derived,
            FORMER_TABLE,
            *(each.relative_to(path).as_posix() for each in (*records, *more)),
        ]
        last = layout.spec_path(path).relative_to(path).as_posix()
        return [name for name in dict.fromkeys(found) if name != last and (path / name).is_file()] + [last]


def is_named(name: str) -> bool:
    """Whether a store may have a file of this name: what comes from elsewhere is looked at before it is fetched."""
    return _NAMES.fullmatch(name) is not None and ".." not in name.split("/")
