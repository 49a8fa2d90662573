"""What a store format must offer, and how one is found by its name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, cast

from sercache.stores.batch import Item
from sercache.stores.commits import Record
from sercache.stores.layout import Layout, check_format
from sercache.stores.ledger import Ledger
from sercache.stores.roster import Registration
from sercache.stores.stock import StockView


class ShardWriter(Protocol):
    """Where the commits of one writer go."""

    @property
    def room(self) -> tuple[int, int]:
        """Frames and utterances that the next commit may have without another shard."""
        ...

    def leave_frames(self) -> None:
        """Take another shard of frames for the next commit, though this one is not full."""
        ...

    def write(self, items: Sequence[Item], number: int) -> Record:
        """Write a commit's files durably; gives its record."""
        ...

    def keep(self) -> None:
        """The commit that was written last stands."""
        ...

    def take_back(self) -> None:
        """The commit that was begun last failed: remove what it wrote."""
        ...


class StoreFormat(Protocol):
    """The functions of a format's module, ``sercache/stores/<format>.py``.

    A format decides how the files of a commit look. Where utterances lie in them is in the commit record,
    as byte offsets, so reading, checking and the order of commits are the same for every format.
    """

    def files_of(self, layout: Layout, claim: str) -> list[Path]:
        """Files that belong to a claim: of the number of a commit (digits), or of a shard."""
        ...

    def make_folders(self, layout: Layout) -> None:
        """The folders of the features."""
        ...

    def shards(self, layout: Layout, ledger: Ledger, registration: Registration) -> ShardWriter:
        """What one writer writes its commits with; call under the store's short lock."""
        ...

    def check_shared(self, layout: Layout, records: Sequence[Record]) -> Iterable[tuple[Path, str]]:
        """Faults of bytes that belong to several of the commits: file and reason."""
        ...

    def refresh(self, layout: Layout, ledger: Ledger, view: StockView) -> None:
        """Bring up to date what only stock readers go by, at a cost that grows with what is new."""
        ...


def load(format: str) -> StoreFormat:
    """The format of that name. Raises UnknownNameError."""
    check_format(format)
    return cast(StoreFormat, importlib.import_module(f"sercache.stores.{format}"))
