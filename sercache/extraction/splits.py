"""Where batches of the plan were cut because memory ran out, so that whoever continues a store cuts them there too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache import advice, stores
from sercache.errors import DamagedStoreError
from sercache.extraction.decode import Decoded
from sercache.objects import mirror

FOLDER = "splits"
"""Beside the commit records, a file for each batch that was cut, named by its digest."""


@dataclass(frozen=True, slots=True)
class Company:
    """What of a batch of the plan is computed together."""

    batch: str
    """Digest of the batch (``plan.batch_digest``)."""
    positions: Sequence[int]
    """Of the items among the batch's pieces, ascending."""
    items: Sequence[Decoded]

    def cut(self, cuts: Iterable[int]) -> list[Company]:
        """The parts between these positions of the batch; those that are left without an item are none."""
        edges = [*sorted(cuts), self.positions[-1] + 1]
        parts, first = [], 0
        for edge in edges:
            last = first
            while last < len(self.positions) and self.positions[last] < edge:
                last += 1
            if last > first:
                parts.append(Company(self.batch, self.positions[first:last], self.items[first:last]))
            first = last
        return parts


class Splits:
    """Cuts of the store in ``folder``, on its disk: a file is written before anything that rests on it is stored."""

    def __init__(self, folder: Path, done: Collection[str]) -> None:
        """``done`` are entry ids that the store held when the plan was made. Raises DamagedStoreError."""
        self._folder, self._done = folder, done
        known = [self._read(path.stem) for path in (stores.notes_folder(folder) / FOLDER).glob("*.json")]
        self.ran_out_at = min((frames for _, frames in known), default=None)
        """Fewest frames that did not fit the memory of a device; None: all did."""

    def cuts(self, company: Company) -> tuple[int, ...] | None:
        """Positions at which a batch is cut; none where a part of it is stored as it was; None: nothing is known."""
        path = self._path(company.batch)
        mirror.arrive(self._folder)  # another host may have noted it
        if path.exists():
            return self._read(company.batch)[0]
        return () if any(item.piece.entry_id in self._done for item in company.items) else None

    def add(self, batch: str, cuts: Iterable[int]) -> None:
        """Note that a batch is cut at these positions too. Raises DiskSpaceError, FileError, DamagedStoreError."""
        path = self._path(batch)
        before = self._read(batch)[0] if path.exists() else ()
        path.parent.mkdir(exist_ok=True)
        record = {"cuts": sorted({*before, *cuts}), "ran_out_at": self.ran_out_at}
        stores.write_note(self._folder, f"{FOLDER}/{path.name}", record)

    def ran_out(self, n_frames: int) -> None:
        """Note that ``n_frames`` did not fit: as many are never tried again."""
        self.ran_out_at = min(n_frames, self.ran_out_at or n_frames)

    def _path(self, batch: str) -> Path:
        return stores.notes_folder(self._folder) / FOLDER / f"{batch}.json"

    def _read(self, batch: str) -> tuple[tuple[int, ...], int]:
        path = self._path(batch)
        record = stores.read_note(self._folder, f"{FOLDER}/{path.name}")
        cuts, frames = record.get("cuts"), record.get("ran_out_at")
        if not isinstance(cuts, list) or not all(type(n) is int and n > 0 for n in (*cuts, frames)):
            remedy = f"run {advice.command('verify', self._folder, repair=True)}"
            raise DamagedStoreError(f"{path} is damaged: it is not what was written; {remedy}")
        return tuple(sorted(cuts)), int(frames or 0)
