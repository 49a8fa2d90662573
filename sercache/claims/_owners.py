"""Owners of claims: which of them live, as far as a clock of this process can tell."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sercache.claims import _files
from sercache.claims._process import is_dead, record_of, this_process
from sercache.errors import SercacheError

_OWNER = ".owner"
_SILENT_SECONDS = 3600


def is_at_work(folder: Path, now: float) -> bool:
    """Whether a process may be at work that has claims in ``folder``, as far as one look can tell.

    It is not, where it is known to have ended, or lives elsewhere and has shown no life for an hour before ``now``, by
    the clock of the disk (``files.now_on``).
    """
    with suppress(OSError, SercacheError):
        for path in folder.glob(f"*{_OWNER}"):
            if not is_dead(record_of(_files.content(path))) and now - path.stat().st_mtime < _SILENT_SECONDS:
                return True
    return False


@dataclass(slots=True)
class _Watched:
    """What was last seen of an owner, and for how long (s) it was watched without a change."""

    content: bytes
    looked: float
    idle: float = 0.0


class Owners:
    """The owners of claims in ``folder``, this process among them under the name ``own``.

    ``expiry`` and what ``clock`` tells are in seconds. Not to be called by two threads at once.
    """

    def __init__(self, folder: Path, expiry: float, clock: Callable[[], float]) -> None:
        self.folder, self.expiry, self._clock = folder, expiry, clock
        self.own = uuid.uuid4().hex
        self._head = b""
        self._n_beats = 0
        self._watched: dict[str, _Watched] = {}

    def enter(self) -> None:
        """Say who this process is."""
        self._head = json.dumps({**this_process(), "expiry": self.expiry}).encode() + b"\n"
        self.beat()

    def beat(self) -> None:
        """Show life, and look whether others do."""
        self._n_beats += 1
        _files.show(self._file(self.own), self._head, b"%012d" % self._n_beats)
        others = self._others()
        for owner in others:
            self.idle(owner, _files.content(self._file(owner)))
        long_ago = self._clock() - self.expiry
        for whose in [each for each in self._watched if "." not in each and each not in others]:
            if self._watched[whose].looked < long_ago:  # else a claim of one who left is being waited for
                del self._watched[whose]

    def leave(self) -> None:
        """Be an owner no more."""
        _files.remove(self._file(self.own))

    def are_others_here(self) -> bool:
        """Whether any other lives."""
        return not all(self.is_gone(owner) for owner in self._others())

    def is_gone(self, owner: str) -> bool:
        """Whether an owner is known to have ended, or has shown no life for too long."""
        content = _files.content(self._file(owner))
        record = record_of(content)
        if is_dead(record):
            return True
        expiry = record.get("expiry")
        return self.idle(owner, content) >= (expiry if isinstance(expiry, int | float) else self.expiry)

    def idle(self, whose: str, content: bytes | None) -> float:
        """For how long (s) the content was watched without a change.

        A gap between two looks counts as a part of the expiry only: who slept itself has not watched.
        """
        now, content = self._clock(), content or b""
        seen = self._watched.get(whose)
        if seen is None or seen.content != content:
            self._watched[whose] = _Watched(content, now)
            return 0.0
        seen.idle += min(now - seen.looked, self.expiry / 4)
        seen.looked = now
        return seen.idle

    def clear_up(self) -> None:
        """Remove the files of those who are gone; one that wakes makes its file anew."""
        for owner in self._others():
            if self.is_gone(owner):
                _files.remove(self._file(owner))

    def _file(self, owner: str) -> Path:
        return self.folder / f"{owner}{_OWNER}"

    def _others(self) -> list[str]:
        """The other owners that have a file."""
        owners = (
            name.removesuffix(_OWNER) for name in _files.file_names(self.folder) if name.endswith(_OWNER)
        )
        return [owner for owner in owners if owner != self.own]
