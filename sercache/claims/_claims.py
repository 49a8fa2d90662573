"""The claims of one process: taken, renewed, asked about, released."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from sercache.claims import _files
from sercache.claims._leading import leader, tell_begun
from sercache.claims._owners import Owners
from sercache.errors import SercacheError
from sercache.files import write_faults_named

EXPIRY_SECONDS = 60.0
"""Without a sign of life for so long, as a rival's clock measures it, an owner's claims may be taken over."""
_BEATS = 6
"""Signs of life within that time."""
LOSSES = 3
"""Owners that may be lost one after another with a name in hand, before it is taken for what ends them."""
_LEFT_OUT, _LOST = b"left out", b"lost"
"""In the place of an owner: nobody is to take it, as it ends whoever does, which may be followed by what leads the
process that found so; its owner knows that the work was lost."""
_NAME = re.compile(r"[A-Za-z0-9][\w=+,.@-]{0,199}")
_REMEDY = "mend that, then run the same command to resume"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as it was taken; any process may ask whether it is held still."""

    folder: Path
    name: str
    generation: int
    owner: str

    def is_held(self) -> bool:
        """Whether nobody has taken it over since. Raises FileError where that cannot be read."""
        with _faults_named(self.folder):
            return (
                self.is_mine() and _files.highest(self.folder, {self.name}).get(self.name) == self.generation
            )

    def is_mine(self) -> bool:
        """Whether its file bears the name of its owner."""
        return _files.content(self.path) == self.owner.encode()

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{self.name}.{self.generation}"


class Claims:
    """The claims of one process in ``folder``, renewed by a thread while the block lasts, and released at its end.

    Names are digests or other names that a file may have. ``expiry`` is in seconds; None: EXPIRY_SECONDS. What the dead
    left is cleared up at its end, and with it how often each name was lost, but not by one ``in_passing``, which does
    no more than a part. All may be called from several threads. What the system refuses raises DiskSpaceError or
    FileError.
    """

    def __init__(
        self,
        folder: Path,
        expiry: float | None = None,
        *,
        in_passing: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.folder, self.expiry = folder, EXPIRY_SECONDS if expiry is None else expiry
        self._in_passing = in_passing
        self._clock, self._sleep = clock, sleep
        self._owners = Owners(folder, self.expiry, clock)
        self._leader = leader().encode()
        self._held: dict[str, Claim] = {}
        self._left_out: set[str] = set()
        self._left_out_before: set[str] = set()
        """By processes that may all be gone: then it is tried again."""
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="claims", daemon=True)

    def __enter__(self) -> Self:
        with _faults_named(self.folder):
            _files.make(self.folder)
            self._owners.enter()
            self._left_out_before = self._given_up(_files.highest(self.folder))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release what is held, and clear up what the dead left. What cannot be removed now expires."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for name in [*self._held, *self._held]:  # what cannot be removed is tried once more
                self.release(name)
            self._left_out_before |= self._left_out  # goes with the last one to leave
            self._left_out.clear()
            if not self._in_passing:
                self.clear_up()
            with suppress(OSError, SercacheError):
                self._owners.leave()

    def take(self, name: str, most_lost: int | None = None) -> bool:
        """Claim a name that nobody has, or whose owner is gone; false where somebody else has it. Never waits.

        ``most_lost``: only what no more owners were lost with, one after another.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be claimed: expected a name that a file may have")
        with self._lock, _faults_named(self.folder):
            if name in self._held:
                if self._held[name].is_held():
                    return True
                self.release(name)
            if not _files.is_there(
                self.folder
            ):  # the others took this process for gone, and removed it when they were done
                _files.make(self.folder)
                self.beat()
            before = Claim(self.folder, name, _files.highest(self.folder, {name}).get(name, 0), "")
            owner = _files.content(before.path)
            if most_lost is not None and before.generation > most_lost and owner is not None:
                return False
            if before.generation and not self._is_gone(before):
                return False
            claim = Claim(self.folder, name, before.generation + 1, self._owners.own)
            # Where the answer of a file server was lost, the file may be there and be ours.
            if not _files.create(claim.path, claim.owner.encode()) and not claim.is_mine():
                return False
            # Rivals may have taken over from the same owner, and given back, since that was listed.
            if _files.content(before.path) != owner or not claim.is_held():
                _remove_own(claim)
                return False
            self._held[name] = claim
            return True

    def release(self, name: str) -> None:
        """Give up a claim, if it is held: its work is done and visible, or left to others.

        What the system refuses to remove stays this process's own, until it leaves.
        """
        with self._lock, suppress(OSError, SercacheError):
            claim = self._held.get(name)
            if claim is None:
                return
            if claim.is_held():  # the highest goes last: whoever looks meanwhile sees it
                for generation in range(1, claim.generation):
                    _files.remove(replace(claim, generation=generation).path)
            _remove_own(claim)
            del self._held[name]

    def still_held(self, name: str) -> bool:
        """Whether a claim of this process is its own still: to be asked before its work is made visible."""
        with self._lock:
            claim = self._held.get(name)
        return claim is not None and claim.is_held()

    def held(self, name: str) -> Claim:
        """A claim that was taken, for another process or thread to ask about. Raises KeyError."""
        return self._held[name]

    def begin(self, name: str, words: str) -> None:
        """Say that the work of a claim that is held, ``words``, is begun now: it may end this process."""
        tell_begun(name, self.held(name).generation, words)

    def lose(self, name: str) -> None:
        """Give up a claim whose work was lost together with whatever did it: that counts as a lost owner does."""
        with self._lock, suppress(OSError, SercacheError):
            claim = self._held.pop(name, None)
            if claim is not None and claim.is_held():
                _files.sign(claim.path, _LOST)

    def lost(self, names: Collection[str]) -> dict[str, int]:
        """How many owners were lost one after another with a name in hand, for those of ``names`` that have any."""
        with self._lock, _faults_named(self.folder):
            found = _files.highest(self.folder, set(names).difference(self._held))
            for name in self._given_up(found):
                if self._is_gone(Claim(self.folder, name, found[name], "")) and self.take(name):
                    self.release(name)  # it was left out by others who are gone: the count begins anew
                    del found[name]
            gone = {
                name: self._is_gone(Claim(self.folder, name, generation, ""))
                for name, generation in found.items()
            }
            counts = {name: generation - (not gone[name]) for name, generation in found.items()}
            return {name: count for name, count in counts.items() if count}

    def give_up(self, name: str) -> bool:
        """Leave a name out that LOSSES owners were lost with; whether it is left out by now, whoever did so."""
        with self._lock, _faults_named(self.folder):
            if self.lost([name]).get(name, 0) >= LOSSES and self.take(name):
                self.leave_out(name)
            return self.is_left_out(name)

    def leave_out(self, name: str) -> None:
        """Have nobody take a name that is held, until all processes that are at work have left."""
        with self._lock, _faults_named(self.folder):
            claim = self._held.get(name)
            if claim is not None and claim.is_held():
                _files.sign(claim.path, b" ".join(filter(None, (_LEFT_OUT, self._leader))))
                del self._held[name]
                self._left_out.add(name)

    def is_left_out(self, name: str) -> bool:
        """Whether nobody is to take a name."""
        with self._lock, _faults_named(self.folder):
            found = _files.highest(self.folder, {name})
            is_left_out = name in self._given_up(found)
            if is_left_out and not self._is_gone(Claim(self.folder, name, found[name], "")):
                self._left_out.add(name)
                return True
            return False

    def others(self, names: Collection[str]) -> set[str]:
        """Those of ``names`` that others hold who live, as far as is known."""
        with self._lock, _faults_named(self.folder):
            found = _files.highest(self.folder, set(names).difference(self._held))
            return {
                name
                for name, generation in found.items()
                if not self._is_gone(Claim(self.folder, name, generation, ""))
            } - self._given_up(found)

    def wait(self, names: Collection[str], timeout: float | None = None) -> set[str]:
        """Wait until some of ``names`` are free, or ``timeout`` (s) has passed; gives those that are free."""
        began = self._clock()
        while True:
            free = set(names) - self.others(names)
            left = None if timeout is None else timeout - (self._clock() - began)
            if free or not names or (left is not None and left <= 0):
                return free
            pause = min(1.0, self.expiry / 20)
            self._sleep(pause if left is None else min(pause, left))

    def clear_up(self) -> None:
        """Remove what owners left who are gone: first their claims, by taking them over, then their files.

        With it goes how often each name was lost. What cannot be removed now is left to the next one.
        """
        with self._lock, suppress(OSError, SercacheError):
            for name, generation in _files.highest(self.folder).items():
                if self._is_gone(Claim(self.folder, name, generation, "")) and self.take(name):
                    self.release(name)
            self._owners.clear_up()

    def beat(self) -> None:
        """Show life, and look whether others do: a thread does so as long as the block lasts."""
        with self._lock:
            self._owners.beat()

    def _renew(self) -> None:
        while not self._over.wait(self.expiry / _BEATS):
            with suppress(OSError, SercacheError):  # what keeps on failing shows in the work itself
                self.beat()

    def _is_gone(self, claim: Claim) -> bool:
        """Whether the owner of a claim (whose own name need not be known) is gone, or has released it."""
        path = claim.path
        owner = _files.content(path)
        if owner is None or owner == _LOST:
            return True
        if owner.startswith(_LEFT_OUT):
            if self._leader and owner == _LEFT_OUT + b" " + self._leader:
                return False
            return claim.name in self._left_out_before - self._left_out and not self._owners.are_others_here()
        name = owner.decode("ascii", "replace")
        if not re.fullmatch("[0-9a-f]{32}", name):  # created and not signed yet, or damaged
            return self._owners.idle(path.name, owner) >= self.expiry
        return name != self._owners.own and self._owners.is_gone(name)

    def _given_up(self, found: Mapping[str, int]) -> set[str]:
        """Of claims by their highest generation, the names that are left out."""
        claims = [Claim(self.folder, name, generation, "") for name, generation in found.items()]
        return {claim.name for claim in claims if (_files.content(claim.path) or b"").startswith(_LEFT_OUT)}


def _remove_own(claim: Claim) -> None:
    if claim.is_mine():
        _files.remove(claim.path)


@contextmanager
def _faults_named(folder: Path) -> Iterator[None]:
    with write_faults_named(folder, _REMEDY):
        yield
