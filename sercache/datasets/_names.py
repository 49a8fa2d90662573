"""Recordings under the names that a table gives, also where the disk spells them otherwise."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sercache import audio
from sercache.units import listed

_SHOWN = 3


class Names:
    """Finds files of a corpus: exactly as named, else by one look into each folder, by letters and case.

    A name may be composed in the table and decomposed on the disk (macOS), differ in case (Windows, macOS), or be
    written with backslashes. What was found otherwise than as named is counted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.respelt: list[str] = []
        """Names that were found in another spelling."""
        self._found: dict[str, Path | str] = {}
        self._listings: dict[Path, dict[str, list[str]]] = {}
        self._folders: dict[Path, bool] = {}
        """Whether a path is a folder."""
        self._real_root = root.resolve()
        self._inside: dict[Path, bool] = {}
        """Whether a folder lies in the root."""

    def find(self, name: str) -> Path | str:
        """The file that ``name`` (relative to the root, or absolute) means, or why there is none.

        Of one name the same path each time: many segments may lie in a file.
        """
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> Path | str:
        exact = self.root / name
        if _is_file(exact):
            return exact
        if "://" in name:
            return f"expected a path, got an address: {name}; get the recording and write where it lies"
        found = self._near(name if "\\" not in name else name.replace("\\", "/"))
        if isinstance(found, Path):
            if not _is_file(found):
                return _no_file(found)
            self.respelt.append(name)
        return found

    def _is_outside(self, path: Path) -> bool:
        """Whether the file lies outside the root, by ``..``, an absolute path or a link."""
        if path.is_symlink():
            return not path.resolve().is_relative_to(self._real_root)
        folder = path.parent
        if folder not in self._inside:
            self._inside[folder] = folder.resolve().is_relative_to(self._real_root)
        return not self._inside[folder]

    def outside(self, paths: Iterable[Path]) -> list[str]:
        """A line that counts the files outside the root, or none."""
        found = [path for path in paths if self._is_outside(path)]
        if not found:
            return []
        return [f"{len(found)} recordings lie outside {self.root}, first: {found[0].resolve()}"]

    def warnings(self) -> list[str]:
        """A line that counts the names that were found in another spelling, or none."""
        if not self.respelt:
            return []
        how = "that the disk spells otherwise (case, form of a letter, backslash)"
        if len(self.respelt) == 1:
            return [f"1 recording has a name {how}: {self.respelt[0]}"]
        return [f"{len(self.respelt)} recordings have names {how}, first: {self.respelt[0]}"]

    def _near(self, name: str) -> Path | str:
        """The path whose every part is ``name``'s but for case and normal form, or why there is none."""
        parts = PurePosixPath(name).parts
        here = self.root
        for number, part in enumerate(parts):
            step = here / part
            if part in ("/", "..") or (number < len(parts) - 1 and self._is_folder(step)):
                here = step
                continue
            found = self._listing(here).get(_key(part), [])
            if len(found) > 1:  # the same letters in the same case go before others
                found = [each for each in found if _form(each) == _form(part)] or found
            if not found:
                return _no_file(self.root / name)
            if len(found) > 1:
                shown = listed(found, _SHOWN)
                return f"{part} could be any of {shown} in {here}; write the name as it is on the disk"
            here = here / found[0]
        return here

    def _is_folder(self, path: Path) -> bool:
        if path not in self._folders:
            self._folders[path] = path.is_dir()
        return self._folders[path]

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """Names in a folder by what they are compared by; each folder is looked into once."""
        if folder not in self._listings:
            found: dict[str, list[str]] = {}
            try:
                names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone, of large folders
            except (OSError, ValueError):
                names = []
            for name in names:
                found.setdefault(_key(name), []).append(name)
            self._listings[folder] = found
        return self._listings[folder]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _no_file(path: Path) -> str:
    """Why there is no recording at ``path``: nothing is there, a link to nothing, or another thing than a file."""
    try:
        if path.is_symlink() and not path.exists():
            return f"a link to {path.readlink()}, which is not there: {path}"
        if path.is_dir():
            return f"a folder, expected a recording: {path}"
        if path.exists():
            return f"a pipe or a device, expected a file: {path}"
    except (OSError, ValueError):
        pass
    return f"no such file: {path}"


def _is_file(path: Path) -> bool:
    try:
        return audio.is_file(path)
    except (OSError, ValueError):  # a name that the file system refuses, for example one that is too long
        return False
