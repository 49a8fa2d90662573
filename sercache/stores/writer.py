"""Writer: appends utterances to a store of either format."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from sercache import objects
from sercache.errors import AlreadyStoredError, StoreError
from sercache.objects import mirror
from sercache.stores import checkpoints, clearing, commits, formats, roster, stock
from sercache.stores.batch import Item
from sercache.stores.commits import Record
from sercache.stores.dtypes import STORED, check_statistics, encode_frames, width
from sercache.stores.durable import write_faults_named
from sercache.stores.kept import is_there
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger
from sercache.stores.roster import Registration


class Writer:
    """Takes utterances until a shard is full, then commits them; holds about one shard in memory."""

    def __init__(self, layout: Layout) -> None:
        self.path: Path = layout.path
        self.spec = layout.spec
        self._layout = layout
        self._format = formats.load(layout.format)
        self._ledger = Ledger(layout.ledger)
        self._pending: dict[str, Item] = {}
        self._n_waiting = 0
        self._closed = False
        self._lost: Callable[[Collection[str]], Collection[str]] = lambda ids: ()
        with write_faults_named(layout.path), roster.short_lock(layout.ledger):
            roster.make_folders(layout.ledger)  # copies by git or rsync may lack those that were empty
            self._clear_up()
            self._registration = Registration(layout.ledger)
            try:
                self._format.make_folders(layout)
                self._shards = self._format.shards(layout, self._ledger, self._registration)
                view = stock.on_disk(layout, self._registration.temporary)
                self._format.refresh(layout, self._ledger, view)
            except BaseException:
                self._registration.close()
                raise

    def append(
        self,
        id: str,
        mean: np.ndarray,
        std: np.ndarray,
        frames: np.ndarray | None,
        *,
        n_frames: int,
        n_samples: int,
        audio_digest: str,
        owned: bool = False,
    ) -> None:
        """Take one utterance: mean and std (L, D), frames (L, T, D) in float32 or as stored, or None.

        Everything is copied, unless the arrays are ``owned`` from now on: then what lies in memory as it is stored
        stays where it is, and nobody may write into it. Seals when the shard is full. Raises AlreadyStoredError for an
        id that is committed, StoreError for one that waits already and for shapes that do not fit the spec,
        NumericRangeError for values that are not finite or do not fit the dtype; the utterance is not taken
        then. Raises DiskSpaceError.
        """
        self._check_open()
        self._ledger.refresh(quick=True)
        if not id or id in self._pending or self._ledger.find(id):
            reason = "is in the store already" if id else "is empty"
            kind = AlreadyStoredError if id and id not in self._pending else StoreError
            raise kind(f"utterance id {id!r} {reason}; give every utterance an id of its own, once")
        taken = self._checked(id, mean, std, frames, n_frames, owned=owned)
        item = Item(id, *taken, int(n_frames), int(n_samples), audio_digest)
        if self.spec.frames and self._n_waiting + item.n_frames > self._shards.room[0]:
            self.seal()
            if item.n_frames > self._shards.room[0]:
                self._shards.leave_frames()
        self._pending[id] = item
        self._n_waiting += item.n_frames
        n_frames, n_utterances = self._shards.room
        if (self.spec.frames and self._n_waiting >= n_frames) or len(self._pending) >= n_utterances:
            self.seal()

    def _checked(
        self,
        id: str,
        mean: np.ndarray,
        std: np.ndarray,
        frames: np.ndarray | None,
        n_frames: int,
        *,
        owned: bool,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Mean, standard deviation and frames as they are stored."""
        n_states, dim = len(self.spec.states), self.spec.dim
        if n_frames < 1:
            raise StoreError(f"{id}: {n_frames} frames, expected at least 1")
        _check_shape(id, "mean", mean, (n_states, dim))
        _check_shape(id, "standard deviation", std, (n_states, dim))
        with np.errstate(over="ignore"):  # becomes infinity, which is refused below
            take = np.asarray if owned else np.array
            rows = [take(values, "<f4", order="C") for values in (mean, std)]
        for what, values in zip(("mean", "standard deviation"), rows, strict=True):
            check_statistics(values, what, id, self.spec.states)
        stored = None
        if (frames is not None) != self.spec.frames:
            kept = "keeps" if self.spec.frames else "does not keep"
            raise StoreError(f"{id}: frames are {type(frames).__name__}, and this store {kept} frames")
        if frames is not None:
            n_values = width(dim, self.spec.dtype)
            given = n_values if frames.dtype == STORED[self.spec.dtype] else dim
            _check_shape(id, "frames", frames, (n_states, n_frames, given))
            # Each state is written in one piece, so it must lie in one.
            stays = owned and frames.dtype == STORED[self.spec.dtype] and frames[0].flags.c_contiguous
            stored = frames if stays else np.empty((n_states, n_frames, n_values), STORED[self.spec.dtype])
            for state, name in enumerate(self.spec.states):
                encoded = encode_frames(frames[state], self.spec.dtype, id, name)
                if not stays:
                    stored[state] = encoded
        return rows[0], rows[1], stored

    def guard(self, lost: Callable[[Collection[str]], Collection[str]]) -> None:
        """From now on ask ``lost`` right before a commit which of its ids are another's to write: they are dropped."""
        self._lost = lost

    def seal(self) -> None:
        """Commit what was appended since the last seal: all of it becomes visible, or none.

        Raises DiskSpaceError on a full disk; nothing is visible then, and what waits is kept for
        another try.
        """
        self._check_open()
        self._drop_lost()
        while self._pending:
            items = list(self._pending.values())
            with write_faults_named(self.path):
                number = self._registration.claim(self._ledger.highest, self._is_free)
                try:
                    record = self._shards.write(items, number)
                    if self._drop_lost():
                        self._take_back(number)
                        continue
                    self._send(record)
                    commits.publish(self._layout.ledger, record, self._registration.temporary())
                except BaseException:
                    self._take_back(number)
                    raise
            self._keep(number)
            # Listing the records to find one's own would cost with each seal what is there already.
            self._ledger.add(record)

    def _send(self, record: Record) -> None:
        """Of a store in an object store: first the shards, then the record, which must be new; the shards go here."""
        if objects.place_of(self.path) is None:
            return
        files = [self.path / name for name in commits.file_names(record)]
        for path in files:
            mirror.send(path, path)
        self._registration.check_held()
        if not commits.create_far(self._layout.ledger, record):
            raise StoreError(
                f"commit {record.number} of {self.path} was made by another writer; run the same command to resume"
            )
        for path in files:
            path.unlink(missing_ok=True)

    def _drop_lost(self) -> bool:
        """Forget what is another's to write by now; true where that was anything."""
        lost = self._lost(list(self._pending))
        for id in lost:
            self._n_waiting -= self._pending.pop(id).n_frames
        return bool(lost)

    def _is_free(self, number: int) -> bool:
        return not any(is_there(path) for path in self._format.files_of(self._layout, f"{number:08d}"))

    def _keep(self, number: int) -> None:
        self._shards.keep()
        self._registration.give_up(f"{number:08d}")
        self._forget_pending()

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._n_waiting = 0

    def _take_back(self, number: int) -> None:
        """After a failure: remove the files, unless the record stands and they are committed."""
        try:
            stands = is_there(commits.record_path(self._layout.ledger, number))
        except StoreError:  # out of reach: whether it stands is seen when the store is opened again
            return
        if stands:
            self._keep(number)
        else:
            self._shards.take_back()
            self._registration.give_up(f"{number:08d}")

    def _clear_up(self) -> None:
        for clear_up in (clearing.clear_up, clearing.clear_up_far):
            clear_up(self._ledger, lambda claim: self._format.files_of(self._layout, claim))

    def close(self) -> None:
        """Seal, refresh what stock readers go by, and leave the store; the second time nothing happens."""
        if self._closed:
            return
        try:
            self.seal()
            with write_faults_named(self.path), roster.short_lock(self._layout.ledger):
                self._clear_up()
                self._ledger.refresh()
                view = stock.on_disk(self._layout, self._registration.temporary)
                self._format.refresh(self._layout, self._ledger, view)
                # Writers on other hosts write the view too: whoever is last sees all that was committed before.
                while objects.place_of(self.path) is not None and self._ledger.refresh():
                    self._format.refresh(self._layout, self._ledger, view)
                checkpoints.add(self._layout.ledger, self._ledger.records, self._registration.temporary)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave the store without sealing: what was not committed is dropped."""
        if not self._closed:
            self._closed = True
            self._forget_pending()
            self._registration.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the writer of {self.path} is closed; make another one with stores.create")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or abandon after an exception."""
        if kind is None:
            self.close()
        else:
            self.abandon()


def _check_shape(id: str, what: str, values: np.ndarray, expected: tuple[int, ...]) -> None:
    if values.shape != expected:
        raise StoreError(f"{id}: {what} has shape {values.shape}, expected {expected} (states, frames, dim)")
