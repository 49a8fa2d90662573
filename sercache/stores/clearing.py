"""Clearing up after writers that died: what no commit names is nobody's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sercache import files, objects
from sercache.claims import is_dead
from sercache.objects import mirror
from sercache.stores import commits
from sercache.stores.kept import listed
from sercache.stores.ledger import Ledger
from sercache.stores.roster import STALE_SECONDS, claim_path, living_writers

_CLAIM = re.compile(r"((?:frames\.|pooled\.)?\d{8,})\.json")
_WAIT_SECONDS = 60


def leftovers(ledger: Path) -> list[Path]:
    """Temporaries of dead writers, which the next one clears up."""
    folder, living = ledger / "writers", living_writers(ledger / "writers")
    return [path for path in folder.glob("*") if path.name.partition(".")[0] not in living]


def _highest_record(ledger: Path) -> int:
    set_aside = ledger / "damaged"
    found = commits.numbers(ledger / "commits") + (commits.numbers(set_aside) if set_aside.is_dir() else [])
    return max(found, default=-1)


def clear_up(ledger: Ledger, files_of: Callable[[str], Iterable[Path]]) -> None:
    """Remove what dead writers left: temporaries, uncommitted files, locks. Call under ``short_lock``.

    ``files_of`` names the files that a claim may have.
    """
    claims = {claim: _owner(ledger.folder, claim) for claim in _claims(ledger.folder)}
    living = living_writers(ledger.folder / "writers")
    # Read after the dead are known: they commit nothing any more.
    ledger.refresh()
    dead = {claim: owner for claim, owner in claims.items() if owner is not None and owner not in living}
    if dead:
        store = ledger.folder.parent
        committed = {store / name for r in ledger.records.values() for name in commits.file_names(r)}
        highest_record = _highest_record(ledger.folder)
    for claim, owner in dead.items():
        # A claim without a name is so young that nothing was written under it, by a dead writer or a living.
        for path in files_of(claim) if owner else ():
            if path not in committed:
                path.unlink(missing_ok=True)
        # Above the records the claim of a number stays, or that would be free again. That of a shard is somebody's
        # who has just created it, as long as it bears no name.
        if int(claim) <= highest_record if claim.isdecimal() else owner or _is_old(ledger.folder, claim):
            claim_path(ledger.folder, claim).unlink(missing_ok=True)
    for path in (ledger.folder / "writers").iterdir():
        if path.name.partition(".")[0] not in living:
            path.unlink(missing_ok=True)


def clear_up_far(ledger: Ledger, files_of: Callable[[str], Iterable[Path]]) -> None:
    """``clear_up`` of what dead writers of any host left in an object store; nothing for a folder of its own.

    Dead is who is known to have ended on this host, and who shows no record for a day.
    """
    if objects.place_of(ledger.folder) is None:
        return
    claims = {
        match[1]: path for path in listed(ledger.folder / "claims") if (match := _CLAIM.fullmatch(path.name))
    }
    dead = [claim for claim, path in claims.items() if _is_dead_claim(path)]
    if not dead:
        return
    ledger.refresh()  # the dead commit nothing any more
    store = ledger.folder.parent
    committed = {store / name for r in ledger.records.values() for name in commits.file_names(r)}
    highest = _highest_record(ledger.folder)
    for claim in dead:
        mirror.drop(path for path in files_of(claim) if path not in committed)
        if not claim.isdecimal() or int(claim) <= highest:
            mirror.drop([claims[claim]])


def _is_dead_claim(path: Path) -> bool:
    mark, data = mirror.mark_of(path), mirror.content(path)
    if mark is None or data is None:
        return False
    try:
        owner = json.loads(data)
    except ValueError:
        owner = {}
    return (isinstance(owner, dict) and is_dead(owner)) or time.time() - mark.changed > STALE_SECONDS


def _is_old(ledger: Path, claim: str) -> bool:
    try:
        written = claim_path(ledger, claim).stat().st_mtime
        return files.now_on(ledger / "writers") - written > _WAIT_SECONDS
    except FileNotFoundError:
        return False


def _claims(ledger: Path) -> list[str]:
    return [match[1] for path in (ledger / "claims").iterdir() if (match := _CLAIM.fullmatch(path.name))]


def _owner(ledger: Path, claim: str) -> str | None:
    """Name of the writer that holds a claim, empty where it is not written yet, or damaged; None: released."""
    try:
        found = json.loads(claim_path(ledger, claim).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return ""
    return found if isinstance(found, str) else ""
