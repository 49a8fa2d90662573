"""The lock of a store, and the locks of its writers, on disks that have locks and on those that have none."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sercache import system
from sercache.claims import Claims
from sercache.errors import StoreError

WAIT_SECONDS = 60
"""For the lock of a store."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_FOLDER = "locking"
"""In the place of the lock, where there are none."""
_EXPIRY_SECONDS = 20.0
_POLL_SECONDS = 0.02


def exist(path: Path) -> bool:
    """Whether the disk has locks, tried on the file ``path``, which exists afterwards; other faults are FileLock's."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
    except OSError:
        return True
    try:
        system.lock_alone(descriptor)
    except OSError as fault:
        return fault.errno not in _NO_LOCKS
    finally:
        os.close(descriptor)
    return True


def are_everywhere(folder: Path) -> bool:
    """Whether each host that held the lock in ``folder`` has been granted it."""
    return not (folder / _FOLDER).is_dir()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock ``path``, or what stands for it. Raises StoreError where another process has it for a minute.

    Both, where some host is refused locks that others are granted.
    """
    with ExitStack() as both:
        has_locks = exist(path)
        if has_locks:
            try:
                both.enter_context(FileLock(path, timeout=WAIT_SECONDS))
            except Timeout as fault:
                raise _in_use(path) from fault
        if not has_locks or not are_everywhere(path.parent):
            both.enter_context(_claimed(path))
        yield


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """Hold a claim in the place of a lock: it passes on where its owner dies, as a lock does."""
    with Claims(path.with_name(_FOLDER), _EXPIRY_SECONDS) as claims:
        began = time.monotonic()
        while not claims.take(path.name):
            if time.monotonic() - began > WAIT_SECONDS:
                raise _in_use(path)
            time.sleep(_POLL_SECONDS)
        yield


def _in_use(path: Path) -> StoreError:
    return StoreError(
        f"{path} has been held for {WAIT_SECONDS} s by another process; end that process and try again"
    )
