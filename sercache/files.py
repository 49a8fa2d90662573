"""All small files, and folders that appear whole or not at all, whatever happens meanwhile.

Write a temporary, bring it to the disk, rename it, bring the folder to the disk. What dies on the way leaves a
hidden temporary; ``clear_leftovers`` removes those whose owner is gone.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sercache.errors import DiskSpaceError, FileError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LEFT_OVER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<kind>new|old|tmp)")
_READ_REMEDIES = {
    errno.EACCES: "see who may read it (ls -l)",
    errno.EPERM: "see who may read it (ls -l)",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file in it",
    errno.ELOOP: "mend the link",
    errno.ENAMETOOLONG: "check the path",
}
_STALE_SECONDS = 24 * 3600
"""After this long a temporary counts as left over where locks cannot tell."""


@contextmanager
def write_faults_named(path: Path, remedy: str = "") -> Iterator[None]:
    """Turn a fault of the system while ``path`` is written into one line; ``remedy`` says what to do.

    Raises DiskSpaceError for a full disk or quota, else FileError.
    """
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise DiskSpaceError(
                f"the disk of {path} is full: free some space{remedy and f', {remedy}'}"
            ) from fault
        raise FileError(
            f"{path} cannot be written: {in_words(fault)}; {remedy or 'choose another place'}"
        ) from fault


def read_fault(path: Path, fault: OSError) -> FileError:
    """What is said of a file, or a file of a folder, that the system does not give."""
    remedy = _READ_REMEDIES.get(fault.errno or 0, "see whether the disk is sound, and run the same again")
    where = f" ({fault.filename})" if fault.filename and str(fault.filename) != str(path) else ""
    return FileError(f"{path} cannot be read: {fault.strerror or fault}{where}; {remedy}")


def in_words(fault: OSError) -> str:
    """What the system says, with the file it says it of where that is known."""
    return (fault.strerror or str(fault)) + (f" ({fault.filename})" if fault.filename else "")


def write_bytes(path: Path, data: bytes, remedy: str = "") -> None:
    """Put ``data`` at ``path`` in one step: readers, and a power cut, see the old file or the new one.

    Raises as ``write_faults_named``.
    """
    write_pieces(path, (data,), remedy)


def write_pieces(path: Path, pieces: Iterable[bytes], remedy: str = "") -> None:
    """``write_bytes`` of what need not be held whole."""
    temporary = _temporary(path)
    with write_faults_named(path, remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_text(path: Path, text: str, remedy: str = "") -> None:
    """``write_bytes`` of a text in UTF-8."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), remedy)


def write_output(path: Path, text: str, remedy: str = "") -> None:
    """``write_text`` to where a user said: through links, and straight into a device or pipe, which stay in place.

    Raises as ``write_faults_named``.
    """
    with write_faults_named(path, remedy):
        path = Path(os.path.realpath(path))
        try:
            mode = path.stat().st_mode  # a link that leads to itself is refused here
        except FileNotFoundError:
            mode = stat.S_IFREG
        straight = not stat.S_ISREG(mode)
        if straight:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
    if not straight:
        write_text(path, text, remedy)


def check_output(path: Path, remedy: str = "") -> None:
    """What ``write_output`` would say of a place that cannot be written, before there is anything to write.

    Raises as ``write_faults_named``.
    """
    with write_faults_named(path, remedy):
        path = Path(os.path.realpath(path))
        for place in (
            _temporary(path),
            path,
        ):  # a name too long, a file on the way, a link that leads to itself
            with suppress(FileNotFoundError):
                place.stat()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        there = path if path.exists() else next(parent for parent in path.parents if parent.exists())
        if not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def write_json(path: Path, value: Any, remedy: str = "") -> None:
    """``write_bytes`` of a value as JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", remedy)


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """``write_bytes`` of a table, its heading first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file. Raises FileError, with ``remedy``, where it is anything else."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as fault:
        raise FileError(f"{path} cannot be read: {in_words(fault)}; {remedy}") from fault
    except (ValueError, RecursionError) as fault:
        raise FileError(f"{path} is damaged: it is no JSON; {remedy}") from fault
    if not isinstance(found, dict):
        raise FileError(
            f"{path} is damaged: it holds {type(found).__name__}, expected a JSON object; {remedy}"
        )
    return found


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, for those to read whom the umask allows, and bring it to the disk.

    Raises as ``write_faults_named``.
    """
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with write_faults_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()
        mode = path.stat().st_mode
        with tensor_faults_named():
            save_file(plain, path, metadata=metadata)
        path.chmod(mode & 0o777)
        _sync(path)


@contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """A safetensors file, open (``safe_open``) for torch tensors; its name may be bytes that are no text.

    Raises SafetensorError where it is damaged, and OSError.
    """
    from safetensors import safe_open

    with _name_in_utf8(path) as name, safe_open(name, framework="pt") as file:
        yield file


@contextmanager
def _name_in_utf8(path: Path) -> Iterator[Path]:
    """A name for a file that libraries take which know UTF-8 alone: its own, else that of a descriptor."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        yield path


@contextmanager
def tensor_faults_named() -> Iterator[None]:
    """Turn what safetensors says of a file that cannot be written, in words only, into the system's OSError."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as fault:
        told = re.search(r"I/O error: .*\(os error (\d+)\)", str(fault))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1]))) from fault


@contextmanager
def new_folder(folder: Path, *, first_wins: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` when the block is left, and is gone where it fails.

    An older ``folder`` goes only when the new one stands; with ``first_wins`` one that holds anything stays.
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
                if first_wins and folder.is_dir() and any(folder.iterdir()):
                    shutil.rmtree(temporary)
                else:
                    _put_in_place(temporary, folder)
        finally:
            os.close(held)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _held_folder(folder: Path) -> tuple[Path, int]:
    """A new temporary folder, locked as long as this process lives; on some shared disks it cannot be."""
    while True:
        temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
        temporary.mkdir()
        held = os.open(temporary, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
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
            _sync(path)
    sync_folder(folder)


def _put_in_place(temporary: Path, folder: Path) -> None:
    older = temporary.with_suffix(".old")
    if folder.exists():
        folder.rename(older)
    temporary.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(older, ignore_errors=True)


def take_away(folder: Path) -> Path:
    """Let a folder vanish in one step; gives where its files lie until they are removed, ``.NAME.<digits>.gone``."""
    gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.gone")
    folder.rename(gone)
    sync_folder(folder.parent)
    return gone


def taken_away(parent: Path) -> list[Path]:
    """Folders whose removal was cut off."""
    return [path for path in parent.glob(".*.gone") if path.is_dir() and not path.is_symlink()]


def clear_leftovers(parent: Path) -> None:
    """Remove what killed processes left half-written in a folder; what has an owner that lives stays.

    Where one was killed between taking the old folder away and putting the new one in place, the old comes back.
    """
    found = [(path, match) for path in parent.glob(".*") if (match := _LEFT_OVER.fullmatch(path.name))]
    for path, match in found:
        if match["kind"] == "new" and path.is_dir():
            _remove_ownerless(path)
        elif match["kind"] == "tmp" and path.is_file() and _is_old(path):
            path.unlink(missing_ok=True)
    for path, match in found:
        # Whoever took it away and lives still holds the new one, which bears the same number.
        if match["kind"] != "old" or not path.is_dir() or path.with_suffix(".new").exists():
            continue
        if path.with_name(match["name"]).exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.rename(path.with_name(match["name"]))


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except OSError:
        return False


def _remove_ownerless(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ownerless = True
    except BlockingIOError:
        ownerless = False
    except OSError:  # this disk has no locks for folders
        ownerless = _is_old(folder)
    try:
        if ownerless:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` (new files, renames) survive a power cut."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
