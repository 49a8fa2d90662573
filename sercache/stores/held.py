"""Who has a store open: a reader holds its ledger as long as it lives, so that nobody removes the store under it.

The lock is the operating system's, shared, on the folder itself: nothing is written, a dead process holds nothing, and
forks hold on as long as one of them lives. Some shared disks have no locks for folders: nobody is protected there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sercache import advice, system
from sercache.errors import StoreError


class Hold:
    """A reader's presence in a store, until it is forgotten. Raises StoreError where the store is being removed."""

    def __init__(self, ledger: Path) -> None:
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(ledger, os.O_RDONLY | os.O_CLOEXEC)
            system.lock_shared(self._descriptor)
        except BlockingIOError as fault:
            raise StoreError(
                f"{ledger.parent} is being removed by another process; `{advice.command('info')}` lists what there is"
            ) from fault
        except OSError:  # this disk has no such locks, or no descriptor is left: it is read all the same
            pass

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # Names of modules may be gone where the interpreter ends.
        if self._descriptor is not None:
            try:  # noqa: SIM105
                close(self._descriptor)
            except OSError:
                pass


@contextmanager
def alone(folder: Path, doing: str) -> Iterator[None]:
    """Hold a folder that nobody else holds. Raises StoreError, with who does; ``doing`` says what was to be done."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            system.lock_alone(descriptor)
        except BlockingIOError as fault:
            who = ", ".join(_holders(descriptor)) or "another process"
            raise StoreError(
                f"{doing}: {who} has it open; end that, then run the same command again"
            ) from fault
        except OSError:  # this disk has no such locks
            pass
        yield
    finally:
        os.close(descriptor)


def _holders(descriptor: int) -> list[str]:
    """Processes that hold a lock on an open file, as far as the system tells: ``process 12 (python train.py)``."""
    return [f"process {pid}{_called(pid)}" for pid in system.lock_holders(descriptor)]


def _called(pid: int) -> str:
    if pid == os.getpid():
        return " (this one)"
    shown = " ".join(Path(word).name for word in system.command_line(pid)[:3])
    return f" ({shown})" if shown else ""
