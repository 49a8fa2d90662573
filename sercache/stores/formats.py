"""What a store format must offer, and how one is found by its name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from sercache.stores.batch import Item
from sercache.stores.commits import Record
from sercache.stores.layout import Layout, check_format
from sercache.stores.ledger import Ledger
from sercache.stores.roster import Registration
from sercache.stores.stock import View


class StoreFormat(Protocol):
    """The functions of a format's module, ``sercache/stores/<format>.py``.

    A format decides how the files of a commit look. Where utterances lie in them is in the commit record,
    as byte offsets, so reading, checking and the order of commits are the same for every format.
    """

    def n_numbers(self, layout: Layout, n_frames: int) -> int:
        """Shard numbers that a commit of ``n_frames`` frames takes."""
        ...

    def files_of(self, layout: Layout, number: int) -> list[Path]:
        """Files that shard ``number`` may have."""
        ...

    def make_folders(self, layout: Layout) -> None:
        """The folders that ``write`` needs."""
        ...

    def write(
        self, layout: Layout, items: Sequence[Item], numbers: range, registration: Registration
    ) -> Record:
        """Write a commit's files durably; gives its record, but for ``files``."""
        ...

    def refresh(self, layout: Layout, ledger: Ledger, view: View) -> None:
        """Bring up to date what only stock readers go by, at a cost that grows with what is new."""
        ...


def load(format: str) -> StoreFormat:
    """The format of that name. Raises UnknownNameError."""
    check_format(format)
    return cast(StoreFormat, importlib.import_module(f"sercache.stores.{format}"))
