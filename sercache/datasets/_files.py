"""Finding the files of a corpus in copies that differ in nesting, case and left-over system files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sercache.errors import CorpusError
from sercache.files import read_fault
from sercache.units import listed

AUDIO = frozenset({".wav"})
_SYSTEM = frozenset({"__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information"})
"""Folders that systems make, which a user often may not read."""
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_DEPTH = 8
"""Folders below the root that are searched: deeper than any known layout."""


def ignored(name: str) -> bool:
    """Whether a path component is never part of a corpus: hidden, AppleDouble, a folder that the system made."""
    return name.startswith(".") or name in _SYSTEM


class _UnlistedError(CorpusError):
    """A folder that is there and that the system does not list."""


def entries(folder: Path) -> list[Path]:
    """Visible entries of a folder, sorted by name; none where there is no such folder.

    Raises CorpusError as ``visible``.
    """
    return sorted(visible(folder))


def visible(folder: Path) -> list[Path]:
    """As ``entries``, in any order, which is quicker for hundred thousands.

    Raises CorpusError where the system does not list it: a part of a corpus is not the corpus.
    """
    try:
        return [p for p in folder.iterdir() if not ignored(p.name)]
    except OSError as fault:
        _tell_unless_missing(fault)
        return []


def _tell_unless_missing(fault: OSError) -> None:
    """Raise CorpusError for a folder that cannot be listed, unless it is not there."""
    if not isinstance(fault, FileNotFoundError | NotADirectoryError):
        raise _UnlistedError(str(read_fault(Path(fault.filename or "."), fault))) from fault


def child(folder: Path, *names: str) -> Path | None:
    """The entry at ``names`` below ``folder``, matched without regard to case; None where there is none."""
    here = folder
    for name in names:
        exact = here / name
        if exact.exists():
            here = exact
            continue
        near = [p for p in entries(here) if p.name.lower() == name.lower()]
        if not near:
            return None
        here = near[0]
    return here


def walk(root: Path, suffixes: frozenset[str] = AUDIO) -> list[Path]:
    """Files below ``root`` with one of ``suffixes`` (any case), sorted by path; ignored names left out.

    Raises CorpusError as ``entries`` does.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, onerror=_tell_unless_missing, followlinks=True):
        here = Path(folder)
        status = here.stat()
        # A link may lead back up; each real folder is searched once.
        if (status.st_dev, status.st_ino) in seen or len(here.relative_to(root).parts) >= _DEPTH:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not ignored(name))
        found += [here / f for f in files if not ignored(f) and Path(f).suffix.lower() in suffixes]
    return sorted(found)


def shown(path: Path, root: Path) -> str:
    """A path as reports show it: relative to the root, bytes that are no text replaced."""
    text = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return text.encode("utf-8", "replace").decode()


def check_folder(root: Path, corpus: str) -> Path:
    """``root`` itself. Raises CorpusError where it does not exist or is not a folder."""
    if not root.exists():
        raise CorpusError(f"{corpus}: there is no folder {root}; point --root at the unpacked corpus")
    if not root.is_dir():
        raise CorpusError(f"{corpus}: {root} is a file; --root must be the folder of the unpacked corpus")
    if not os.access(root, os.R_OK | os.X_OK):
        raise CorpusError(f"{corpus}: no permission to read {root}")
    return root


def find_root(root: Path, corpus: str, looked_for: str, fits: Callable[[Path], bool], depth: int = 2) -> Path:
    """The folder at or up to ``depth`` levels below ``root`` that ``fits``.

    Raises CorpusError where there is none (naming what was looked for, what was found, and the folder
    above where that one fits) or where several fit.
    """
    check_folder(root, corpus)
    level = [root]
    for _ in range(depth + 1):
        # A link and what it points to are one copy.
        good = list({folder.resolve(): folder for folder in reversed(level) if _fits(folder, fits)}.values())
        if len(good) == 1:
            return good[0]
        if good:
            raise CorpusError(
                f"{corpus}: {len(good)} copies under {root}: {listed(good)}; point --root at one"
            )
        level = [p for folder in level for p in _listed(folder) if p.is_dir()]
    raise CorpusError(f"{corpus}: {not_found(root, looked_for, fits)}")


def _listed(folder: Path) -> list[Path]:
    """``entries``, of a folder beside the corpus perhaps: none where nobody may look into it."""
    with suppress(_UnlistedError):
        return entries(folder)
    return []


def _fits(folder: Path, fits: Callable[[Path], bool]) -> bool:
    with suppress(_UnlistedError):
        return fits(folder)
    return False


def not_found(root: Path, looked_for: str, fits: Callable[[Path], bool] | None = None) -> str:
    """What was looked for and what ``root`` holds instead, and a folder above it that ``fits``."""
    above = next((p for p in _parents(root) if fits is not None and _fits(p, fits)), None)
    if above is not None:
        return f"{root} is inside the corpus; use --root {above}"
    names = [p.name + "/" * p.is_dir() for p in _listed(root)]
    holds = listed(names, 5) or "an empty folder"
    packed = [name for name in names if name.lower().endswith(_ARCHIVES)]
    what_to_do = f"unpack {listed(packed, 5)} first" if packed else "point --root at the corpus"
    return f"looked for {looked_for} under {root}, found {holds}; {what_to_do}"


def _parents(root: Path) -> Iterator[Path]:
    yield from list(root.absolute().parents)[:3]
