"""Slots: the shards of an array that a writer fills, one after another, each to its end.

A slot is one file of a Zarr array. A writer holds it by a claim, ``ledger/claims/<array>.<slot>.json``; who comes
later goes on where the last writer ended, so that many small commits fill a slot instead of taking one each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from sercache.stores.roster import Registration


@dataclass(frozen=True)
class Slot:
    """A slot and what commits have put in it."""

    number: int
    filled: int = 0
    """Rows from its first on that are taken."""
    regions: tuple[tuple[int, int], ...] = ()
    """First row and number of rows of what each commit put there."""

    def grown(self, n_rows: int) -> Slot:
        """With ``n_rows`` more at its end."""
        regions = (*self.regions, (self.filled, n_rows))
        return replace(self, filled=self.filled + n_rows, regions=regions)


@dataclass
class Slots:
    """The slots of one array, or of arrays that go side by side, as one writer takes them."""

    array: str
    size: int
    """Rows of a slot."""
    registration: Registration
    is_there: Callable[[int], bool]
    """Whether a slot has files."""
    highest: int = -1
    """The highest slot that a commit uses."""
    current: Slot | None = None
    """The slot that is held and has room."""
    _taken: list[Slot] = field(default_factory=list)
    """Slots of the commit under way; each with what it will hold once it is known."""

    def adopt(self, known: Callable[[], dict[int, Slot]], may_grow: Callable[[Slot], bool]) -> None:
        """Hold a slot that commits left with room, where nobody else does; the highest first.

        ``known`` gives the slots that commits use, as they are at the time.
        """
        slots = known()
        self.highest = max(slots, default=-1)
        for number in sorted(slots, reverse=True):
            if not self._has_room(slots[number], may_grow) or not self.registration.take(self._claim(number)):
                continue
            # A rival may have filled it further before it left it; from now on nobody else does.
            slot = known()[number]
            if self._has_room(slot, may_grow):
                self.current = slot
                return
            self.registration.give_up(self._claim(number))

    def _has_room(self, slot: Slot, may_grow: Callable[[Slot], bool]) -> bool:
        return slot.filled < self.size and may_grow(slot)

    @property
    def room(self) -> int:
        """Rows that go into the slot that is held, or into a new one."""
        return self.size - self.current.filled if self.current else self.size

    def leave(self) -> None:
        """Hold no slot: the next rows go into a new one."""
        if self.current:
            self.registration.give_up(self._claim(self.current.number))
            self.current = None

    def take(self, n_rows: int) -> list[Slot]:
        """Slots for ``n_rows`` rows in a row: the one that is held, or new ones with consecutive numbers."""
        if self.current and n_rows <= self.room:
            self._taken = [self.current]
        else:
            self.leave()
            self._taken = [Slot(number) for number in self._claimed(-(-n_rows // self.size))]
        return self._taken

    def _claimed(self, count: int) -> range:
        first = self.highest + 1
        while True:
            run = range(first, first + count)
            got = [number for number in run if self.registration.take(self._claim(number))]
            if len(got) == count and not any(map(self.is_there, run)):
                return run
            for number in got:
                self.registration.give_up(self._claim(number))
            first += 1

    def keep(self, slots: list[Slot]) -> None:
        """The commit stands: ``slots`` are those that were taken, with what they hold now."""
        self.highest = max(self.highest, slots[-1].number)
        for slot in slots[:-1] if slots[-1].filled < self.size else slots:
            self.registration.give_up(self._claim(slot.number))
        self.current = slots[-1] if slots[-1].filled < self.size else None
        self._taken = []

    def take_back(self) -> list[int]:
        """The commit failed: give up the new slots, whose files are to be removed; gives their numbers."""
        new = [slot.number for slot in self._taken if slot != self.current]
        self._taken = []
        return new

    def give_up(self, numbers: Iterable[int]) -> None:
        """Release slots that ``take_back`` gave, once their files are gone."""
        for number in numbers:
            self.registration.give_up(self._claim(number))

    def _claim(self, number: int) -> str:
        return f"{self.array}.{number:08d}"
