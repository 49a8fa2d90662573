"""Who writes to a store: lock files, temporaries, shard numbers.

Writers never wait for each other on the way of the data. Each takes the number of a commit, or a shard that it
fills, by creating ``ledger/claims/<claim>.json``, which fails where another was first. What no commit names is
nobody's, so what a dead writer left behind can be removed at any time.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from sercache import files, objects
from sercache.claims import is_dead, this_process
from sercache.errors import SercacheError, StoreError
from sercache.objects import mirror
from sercache.stores import commits, locks
from sercache.stores.durable import make_folder
from sercache.stores.kept import is_there, listed

STALE_SECONDS = 24 * 3600
"""After this long without a seal, a writer on another host whose lock looks free is taken for dead."""


@contextmanager
def short_lock(ledger: Path) -> Iterator[None]:
    """Hold the store's lock for opening, clearing up and refreshing metadata; never for data.

    Raises StoreError where another process holds it for a minute.
    """
    with locks.held(ledger / "lock"):
        yield


@contextmanager
def short_lock_where_possible(ledger: Path) -> Iterator[None]:
    """``short_lock``, for reading: on a disk that is read-only or full there is nobody to wait for."""
    with ExitStack() as held:
        with suppress(OSError, SercacheError):
            held.enter_context(short_lock(ledger))
        yield


def is_in_use(ledger: Path) -> bool:
    """Whether a writer may be at work, or died at it and was not cleared up yet."""
    claims, writers = ledger / "claims", ledger / "writers"
    if objects.place_of(ledger) is not None and listed(claims):
        return True
    return (claims.is_dir() and any(claims.iterdir())) or (writers.is_dir() and any(writers.iterdir()))


def at_work(ledger: Path) -> list[str]:
    """Writers that live, or may on another host: ``process 12 on host``."""
    found = []
    for name in sorted(living_writers(ledger / "writers")):
        try:
            owner = json.loads((ledger / "writers" / f"{name}.json").read_text())
            found.append(f"process {owner['pid']} on {owner['host']}")
        except (OSError, ValueError, KeyError, TypeError):
            found.append("a process that is starting")
    return found


def check_nobody_writes(store: Path, ledger: Path) -> None:
    """Raise StoreError, with who it is and what to do, where a writer is or may be at work in a store.

    Of one on another host no lock tells for certain that it was killed: its files are named, to be removed by hand.
    """
    who, writers = at_work(ledger), ledger / "writers"
    if not who:
        return
    unknown = [lock for lock in sorted(writers.glob("*.lock")) if _may_live_elsewhere(lock)]
    remove = shlex.join(str(lock.with_suffix(suffix)) for lock in unknown for suffix in (".json", ".lock"))
    killed = f"; where it was killed on another host, run `rm -f {remove}` first" if unknown else ""
    raise StoreError(
        f"{store} is being written to by {', '.join(who)}; wait for its end, then run the same command again{killed}"
    )


class Registration:
    """A writer's presence in a store: its lock, its temporaries and what it claimed.

    The lock is held by the operating system for the life of the process, so SIGKILL frees it. On a disk without locks
    the file says which process it is.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._name = uuid.uuid4().hex
        self._n_temporaries = 0
        self._claimed: list[str] = []
        self._lock = FileLock(self._file("lock"), thread_local=False)
        if locks.exist(self._file("lock")):
            self._lock.acquire(blocking=False)
        owner = {**this_process(), "since": time.time()}
        self._signed = json.dumps({"writer": self._name, **owner}).encode()
        """What a claim in an object store holds."""
        try:
            self._file("json").write_text(json.dumps(owner))
        except BaseException:
            self.close()
            raise

    def _file(self, suffix: str) -> Path:
        return self._ledger / "writers" / f"{self._name}.{suffix}"

    def temporary(self) -> Path:
        """A new path for a file that is being written, on the store's own disk."""
        self._n_temporaries += 1
        return self._file(f"{self._n_temporaries}.tmp")

    def claim(self, above: int, is_free: Callable[[int], bool]) -> int:
        """Reserve the number of a commit, above the record ``above``, that nobody used.

        Numbers are tried from there on and never listed: what rivals took since costs a try each.
        ``is_free`` says whether a number has no files.
        """
        self._show_life()
        for number in count(above + 1):
            if not self.take(f"{number:08d}"):
                continue
            # A rival may have claimed, committed and released it since it was found free.
            if is_free(number) and not _is_recorded(self._ledger, number):
                break
            self.give_up(f"{number:08d}")
        return number

    def _show_life(self) -> None:
        try:
            os.utime(self._file("json"))
        except FileNotFoundError as fault:
            raise StoreError(
                f"{self._file('json')} is gone: another host took this writer for dead, or the store was removed; "
                "run the same command to resume"
            ) from fault

    def take(self, claim: str) -> bool:
        """Create the file of a claim; false where somebody has it."""
        try:
            file = claim_path(self._ledger, claim).open("x")
        except FileExistsError:
            return False
        self._claimed.append(claim)
        with file:
            json.dump(self._name, file)
        if not mirror.create(claim_path(self._ledger, claim), self._signed):
            self._claimed.remove(claim)
            claim_path(self._ledger, claim).unlink(missing_ok=True)
            return False
        return True

    def check_held(self) -> None:
        """Raise StoreError where another host took this writer for dead, and removed a claim of it.

        Of claims in a folder that is known otherwise.
        """
        for claim in self._claimed if objects.place_of(self._ledger) is not None else ():
            if mirror.content(claim_path(self._ledger, claim)) != self._signed:
                raise StoreError(
                    f"{claim_path(self._ledger, claim)} is gone: another host took this writer for dead; run the same "
                    "command to resume"
                )

    def give_up(self, claim: str) -> None:
        """Release a claim, once a record stands for it or nothing was written.

        What the system refuses to remove is tried once more on leaving, and then left to the next writer.
        """
        if claim in self._claimed:
            with suppress(OSError, SercacheError):
                mirror.drop([claim_path(self._ledger, claim)])
                claim_path(self._ledger, claim).unlink(missing_ok=True)
                self._claimed.remove(claim)

    def close(self) -> None:
        """Leave the store. The lock goes last, so that nothing of a living writer looks ownerless.

        What the system refuses to remove is the next writer's to clear up: it is nobody's once the lock is free.
        """
        for claim in list(self._claimed):
            self.give_up(claim)
        with suppress(OSError):
            for path in (self._ledger / "writers").glob(f"{self._name}.*.tmp"):
                path.unlink(missing_ok=True)
        for suffix in ("json", "lock"):
            with suppress(OSError):
                self._file(suffix).unlink(missing_ok=True)
        self._lock.release()


def make_folders(ledger: Path) -> None:
    """The subfolders that writers use."""
    for name in ("commits", "claims", "writers"):
        make_folder(ledger / name)


def claim_path(ledger: Path, claim: str) -> Path:
    """The file of a claim."""
    return ledger / "claims" / f"{claim}.json"


def _is_recorded(ledger: Path, number: int) -> bool:
    """Whether a number is that of a record, or of one that was set aside."""
    name = commits.record_path(ledger, number).name
    return any(is_there(ledger / folder / name) for folder in ("commits", "damaged"))


def living_writers(writers: Path) -> set[str]:
    """Names of the writers that hold their lock, or may hold it on another host."""
    return {lock.stem for lock in writers.glob("*.lock") if not _is_free(lock) or _may_live_elsewhere(lock)}


def _is_free(lock: Path) -> bool:
    if not locks.exist(lock):
        try:
            owner = json.loads(lock.with_suffix(".json").read_bytes())
            return is_dead(owner) or owner["host"] != platform.node()  # of which its last seal tells
        except (
            OSError,
            ValueError,
            AttributeError,
            KeyError,
            TypeError,
        ):  # it has not said who it is, or never will
            return not _is_young(lock)
    probe = FileLock(lock, thread_local=False)
    try:
        probe.acquire(blocking=False)
    except (Timeout, PermissionError):  # another user's lock cannot be tried
        return False
    probe.release()
    return True


def _may_live_elsewhere(lock: Path) -> bool:
    """Whether the writer runs on another host and has sealed of late: locks may not reach across hosts."""
    owner = lock.with_suffix(".json")
    try:
        elsewhere = json.loads(owner.read_text())["host"] != platform.node()
        return elsewhere and files.now_on(lock.parent) - owner.stat().st_mtime < STALE_SECONDS
    except (
        FileNotFoundError,
        ValueError,
        KeyError,
        TypeError,
    ):  # one that is granted no locks may be starting
        return not locks.are_everywhere(lock.parents[1]) and _is_young(lock)


def _is_young(lock: Path) -> bool:
    """Whether a writer that has not said who it is may be about to."""
    try:
        return files.now_on(lock.parent) - lock.stat().st_mtime < locks.WAIT_SECONDS
    except OSError:
        return False
