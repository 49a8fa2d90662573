"""Folders that appear whole, vanish in one step, and leave nothing that is not cleared up."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from sercache.files._clock import now_on
from sercache.files._faults import write_faults_named
from sercache.system import kernel, lock_alone, lock_shared, sync_path

_LEFT_OVER = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{4})[0-9a-f]{4}\.(?P<kind>new|old|tmp)")
_STALE_SECONDS = 24 * 3600
"""After this long a temporary counts as left over where locks cannot tell: those of other hosts."""
_MOMENT_SECONDS = 60
_TRIES = 100


@contextmanager
def new_folder(folder: Path, *, first_wins: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` when the block is left, and is gone where it fails.

    An older ``folder`` goes only when the new one stands; with ``first_wins`` one that holds anything stays. Of several
    processes that make it at a time each puts its own in place, whole; the last one's stays.
    Raises as ``write_faults_named``.
    """
    with write_faults_named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder.parent)
        temporary, held = _held_folder(folder)
    try:
        try:
            yield temporary
            with write_faults_named(folder):
                _settle(temporary)
                _put_in_place(temporary, folder, first_wins=first_wins)
        finally:
            os.close(held)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _held_folder(folder: Path) -> tuple[Path, int]:
    """A new temporary folder, locked as long as this process lives; on some shared disks it cannot be."""
    while True:
        temporary = folder.with_name(f".{folder.name}.{_host()}{secrets.token_hex(2)}.new")
        temporary.mkdir()
        held = os.open(temporary, os.O_RDONLY)
        try:
            lock_shared(held)
        except BlockingIOError:  # it was just found without an owner, and is being removed
            os.close(held)
            continue
        except OSError:
            return temporary, held
        if temporary.is_dir():
            return temporary, held
        os.close(held)


def _settle(folder: Path) -> None:
    """Bring all files to the disk, readable for whom the umask allows: libraries make theirs private."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)
        if not path.is_symlink():
            sync_path(path)
    sync_path(folder)


def _put_in_place(temporary: Path, folder: Path, *, first_wins: bool) -> None:
    older = temporary.with_suffix(".old")
    for left in reversed(range(_TRIES)):
        if first_wins and folder.is_dir() and any(folder.iterdir()):
            shutil.rmtree(temporary)
            break
        with suppress(FileNotFoundError):  # there is none, or another process takes it away at this moment
            shutil.rmtree(older, ignore_errors=True)  # what stood there before another put its own in place
            folder.rename(older)
        try:
            temporary.rename(folder)
            break
        except OSError as fault:
            if fault.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not left:
                raise
    sync_path(folder.parent)
    shutil.rmtree(older, ignore_errors=True)


def take_away(folder: Path) -> Path:
    """Let a folder vanish in one step; gives where its files lie until they are removed, ``.NAME.<digits>.gone``."""
    gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.gone")
    folder.rename(gone)
    sync_path(folder.parent)
    return gone


def taken_away(parent: Path) -> list[Path]:
    """Folders whose removal was cut off."""
    return [path for path in parent.glob(".*.gone") if path.is_dir() and not path.is_symlink()]


@contextmanager
def unless_empty(folder: Path) -> Iterator[None]:
    """Keep a folder that the block makes, and those above it that it makes, where something lies in them at its end."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    finally:
        with suppress(OSError):
            for each in new:
                each.rmdir()


def clear_leftovers(parent: Path) -> None:
    """Remove what killed processes left half-written in a folder; what has an owner that lives stays.

    Where one was killed between taking the old folder away and putting the new one in place, the old comes back.
    """
    found = [(path, match) for path in parent.glob(".*") if (match := _LEFT_OVER.fullmatch(path.name))]
    for path, match in found:
        if match["kind"] == "new" and path.is_dir():
            _remove_ownerless(path, is_ours=match["host"] == _host())
        elif match["kind"] == "tmp" and path.is_file() and _is_old(path):
            path.unlink(missing_ok=True)
    for path, match in found:
        # Whoever took it away and lives still holds the new one, which bears the same number, for a moment.
        if (
            match["kind"] != "old"
            or not path.is_dir()
            or (path.with_suffix(".new").exists() and not _was_renamed_long_ago(path))
        ):
            continue
        if path.with_name(match["name"]).exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.rename(path.with_name(match["name"]))


def _is_old(path: Path) -> bool:
    try:
        return now_on(path.parent) - path.stat().st_mtime > _STALE_SECONDS
    except OSError:
        return False


def _was_renamed_long_ago(path: Path) -> bool:
    try:
        return now_on(path.parent) - path.stat().st_ctime > _MOMENT_SECONDS
    except OSError:
        return False


@cache
def _host() -> str:
    """Four hexadecimal digits that tell this host from most others."""
    return hashlib.sha256((kernel()["boot"] or platform.node()).encode()).hexdigest()[:4]


def _remove_ownerless(folder: Path, *, is_ours: bool) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        lock_alone(descriptor)
        ownerless = is_ours or _is_old(folder)  # locks may not reach to other hosts, or not be granted there
    except BlockingIOError:
        ownerless = False
    except OSError:  # this disk has no locks for folders
        ownerless = _is_old(folder)
    try:
        if ownerless:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
