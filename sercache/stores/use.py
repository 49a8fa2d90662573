"""When a store was last of use: a note beside its records, written at most once a day by what trains from it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sercache import files
from sercache.errors import SercacheError
from sercache.stores import checked_json

NOTE = "last_use.json"
_OFTEN = timedelta(days=1)


def note_use(path: Path) -> None:
    """Note that the store at ``path`` is of use now; where its disk is full or read-only, nothing is noted."""
    ledger, now = path / "ledger", datetime.now(UTC)
    noted = _noted(ledger)
    if ledger.is_dir() and (noted is None or not timedelta(0) <= now - noted < _OFTEN):
        with suppress(SercacheError):
            files.write_bytes(ledger / NOTE, checked_json.dump({"at": now.isoformat(timespec="seconds")}))


def last_used(path: Path) -> datetime | None:
    """When something was last added to a store or, to the day, trained from it; None where that cannot be told."""
    ledger, found = path / "ledger", list[datetime]()
    with suppress(OSError):
        found.append(datetime.fromtimestamp((ledger / "commits").stat().st_mtime, UTC))
    noted = _noted(ledger)
    return max([*found, noted] if noted else found, default=None)


def _noted(ledger: Path) -> datetime | None:
    try:
        found = datetime.fromisoformat(checked_json.load_note(ledger / NOTE, "it is made anew")["at"])
    except (SercacheError, KeyError, TypeError, ValueError):
        return None
    return found if found.tzinfo else None
