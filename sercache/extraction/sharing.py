"""Sharing: any number of processes with one plan divide its batches, each of which one process claims.

A claim is held until its batch is committed. Who finds a batch committed passes it over; at the end each waits for what
others hold, and takes over what nobody does any more. What a process was lost with in hand comes after all else, then
alone, so that what ends every process which computes it costs nothing else; it is left out at last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sercache import stores
from sercache.claims import Claim, Claims
from sercache.datasets import Skipped
from sercache.extraction.duplicates import Duplicates
from sercache.extraction.pieces import Piece
from sercache.extraction.plan import Plan, batch_digest
from sercache.progress import say, warn
from sercache.stores import FeatureStore
from sercache.units import listed

FOLDER = "batches"
"""Beside the commit records, the claims on batches."""
_WORDS = "{} processes were lost one after another with it in hand"
_LOOK_SECONDS = 1.0
"""Between two looks at what others have committed."""


@dataclass(frozen=True, slots=True)
class LeftOut(Skipped):
    """What was not encoded since each process that did so was lost."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A batch whose turn it is."""

    pieces: Sequence[Piece]
    claim: Claim | None
    """None: another process computes these, and only their digests are asked for."""
    done: frozenset[str] = frozenset()
    """Entries of the batch that are stored already."""


@dataclass
class Fence:
    """Keeps what a process computed from being committed once its claim has passed on."""

    claims: dict[str, Claim] = field(default_factory=dict)
    """By entry id."""
    n_lost: int = 0

    def add(self, turn: Turn) -> None:
        """What is computed of a batch goes by its claim."""
        if turn.claim is not None:
            self.claims |= dict.fromkeys((piece.entry_id for piece in turn.pieces), turn.claim)

    def remove(self, pieces: Sequence[Piece]) -> None:
        """A batch is committed, or left to others."""
        for piece in pieces:
            self.claims.pop(piece.entry_id, None)

    def lost(self, ids: Collection[str]) -> set[str]:
        """Those of the entries that are another's to commit by now. Raises FileError."""
        known = {id: claim for id in ids if (claim := self.claims.get(id)) is not None}
        passed_on = {claim for claim in set(known.values()) if not claim.is_held()}
        lost = {id for id, claim in known.items() if claim in passed_on}
        self.n_lost += len(lost)
        return lost


def claims_of(store: FeatureStore) -> Claims:
    """The claims of this process on batches of a store."""
    return Claims(stores.notes_folder(store.path) / FOLDER)


class Share:
    """What is left of a plan, and which of it this process does. ``progress`` hears of what others stored, too."""

    def __init__(
        self,
        plan: Plan,
        store: FeatureStore,
        claims: Claims,
        progress: Callable[[Piece], None],
    ) -> None:
        self._batches, self._store, self._claims, self._progress = plan.batches, store, claims, progress
        self._left = dict.fromkeys(plan.unfinished)
        """Positions of batches that nobody is known to have done, in the order of work."""
        self._under_way: dict[str, int] = {}
        """Batches of this process that are not committed, by the names of their claims."""
        self._through: set[int] = set()
        """Batches that this process has gone through: what the store lacks of them cannot be encoded."""
        self._own: set[int] = set()
        """Batches that this process has claimed."""
        self.done = set(plan.done)
        """Entries that were stored before their batch was claimed."""
        self.fence = Fence()
        self.n_elsewhere = 0
        """Entries that other processes stored since the plan was made."""
        self.left_out: set[str] = set()
        """Entries of batches that end every process which computes them."""
        self._names: dict[int, str] = {}
        self._later: set[int] = set()
        """Batches that wait for others, which some process was lost with."""

    def turns(self, duplicates: Duplicates) -> Iterator[Turn]:
        """Claim what is free, batch by batch; ends when all that is left is held by others.

        First what no process was lost with. Ends early where some was, so that all before it is committed.
        """
        for most_lost in (0, 1, None):
            lost = self._lost(duplicates, most_lost or 0)
            n_turns = 0
            for k in list(self._left):
                if k in self._later or (most_lost is not None and lost.get(k, 0) > most_lost):
                    continue
                for turn in self._turn(k, most_lost, duplicates):
                    if not n_turns and most_lost is None and k in lost:
                        warn(f"trying {self._called(k)} again: {_WORDS.format(lost[k])}")
                    n_turns += 1
                    yield turn
                if n_turns and most_lost is None:
                    return
            if n_turns:
                return

    def _turn(self, k: int, most_lost: int | None, duplicates: Duplicates) -> Iterator[Turn]:
        """A batch, if it can be claimed, after those whose digests are to be known for it."""
        if self._is_complete(k):
            self._leave(k)
            return
        name = self._name(k)
        if not self._claims.take(name, most_lost):
            return
        self._refresh()  # a rival may have committed it right before it let go
        if self._is_complete(k):
            self._claims.release(name)
            self._leave(k)
            return
        pieces = self._batches[k]
        self._count(k)
        del self._left[k]
        self._under_way[name] = k
        self._own.add(k)
        earlier = [piece for piece in duplicates.before(pieces) if piece.entry_id not in self.left_out]
        if earlier:
            yield Turn(earlier, None)
        done = frozenset(piece.entry_id for piece in pieces if piece.entry_id in self.done)
        turn = Turn(pieces, self._claims.held(name), done)
        self.fence.add(turn)
        self._claims.begin(name, self._called(k))
        yield turn

    def _lost(self, duplicates: Duplicates, most_lost: int) -> dict[int, int]:
        """By batch, how many processes were lost one after another with it in hand.

        Leaves out what ends all that compute it. What can be computed only with such batches decoded waits for them.
        """
        names = {self._name(k): k for k in self._left}
        lost = {names[name]: n for name, n in self._claims.lost(names).items()}
        for k in [k for k in lost if self._claims.give_up(self._name(k))]:
            why = f"left out: {_WORDS.format(lost.pop(k))}"
            self.left_out.update(piece.entry_id for piece in self._batches[k])
            duplicates.skipped += [LeftOut(piece.entry_id, why) for piece in self._batches[k]]
            del self._left[k]
        feared = {piece.entry_id: k for k, n in lost.items() if n > most_lost for piece in self._batches[k]}
        self._later = {
            k
            for k in self._left
            if feared
            and any(
                feared.get(piece.entry_id, k) != k for piece in duplicates.unknown_before(self._batches[k])
            )
        }
        return lost

    def settle(self, duplicates: Duplicates) -> None:
        """After everything that was computed is committed: release it, and have back what was lost meanwhile."""
        self._refresh()
        waiting = {self._position[id] for id in duplicates.waiting}
        for name, k in list(self._under_way.items()):
            if self._claims.still_held(name):
                if k in waiting:
                    continue
                self._through.add(k)
            else:
                self._left[k] = None
            self._let_go(name)

    def wait(self) -> bool:
        """Wait for what others hold; true where something of it is free to be taken over, false where all is done."""
        told = False
        while self._left:
            self._refresh()
            for k in [k for k in self._left if self._is_complete(k)]:
                self._leave(k)
            names = [self._name(k) for k in self._left if k not in self._later]
            if self._left and (not names or self._claims.wait(names, _LOOK_SECONDS)):
                return True
            if names and not told:
                told = True
                say(f"other processes have {len(names)} batches of the plan in hand; waiting for them")
        return False

    def lose(self, claim: Claim) -> None:
        """What did the work of a claim was lost, while this process goes on."""
        self._claims.lose(claim.name)

    def is_through(self, id: str) -> bool:
        """Whether what the store lacks of an entry's batch cannot be encoded; if that is not known it is found out."""
        k = self._position[id]
        name = self._name(k)
        if (
            id in self.left_out
            or k in self._through
            or (name in self._under_way and self._claims.still_held(name))
        ):
            return True
        if name not in self._under_way:
            self._left[k] = None
        return False

    @cached_property
    def _position(self) -> dict[str, int]:
        """Position of each entry's batch."""
        return {piece.entry_id: k for k, batch in enumerate(self._batches) for piece in batch}

    def _name(self, k: int) -> str:
        if k not in self._names:
            self._names[k] = batch_digest(self._batches[k])
        return self._names[k]

    def _called(self, k: int) -> str:
        return listed([piece.entry_id for piece in self._batches[k]])

    def _is_complete(self, k: int) -> bool:
        entries = self._store.entries()
        return all(piece.entry_id in entries for piece in self._batches[k])

    def _leave(self, k: int) -> None:
        """What others completed is none of ours."""
        self._count(k)
        del self._left[k]

    def _count(self, k: int) -> None:
        """Note what of a batch others have stored."""
        entries = self._store.entries()
        for piece in self._batches[k]:
            id = piece.entry_id
            if id not in self.done and id in entries:
                self.done.add(id)
                if k not in self._own:
                    self.n_elsewhere += 1
                    self._progress(piece)

    def _refresh(self) -> None:
        """See what was committed, and release what of it is this process's own."""
        if self._store.refresh():
            for name in [name for name, k in self._under_way.items() if self._is_complete(k)]:
                self._let_go(name)

    def _let_go(self, name: str) -> None:
        k, is_own = self._under_way.pop(name), self._claims.still_held(name)
        self._claims.release(name)
        if is_own:  # else what waits to be committed is another's
            self.fence.remove(self._batches[k])
