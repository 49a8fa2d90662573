"""What the file of a corpus holds."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sercache.datasets._corpus import Corpus
from sercache.datasets._records import CorpusInfo


class CorpusReader(Protocol):
    """The file of a corpus. The corpus is called as the file is, ``_`` written as ``-``."""

    INFO: CorpusInfo
    """What is known of the corpus before one has it: title, licence, tasks with their label maps, protocols."""

    def read(self, root: Path) -> Corpus:
        """The corpus as it lies in ``root``: labels and names, never the samples.

        Utterances come sorted by id, whatever the order of files on the disk. Raises CorpusError, in one line that
        names ``root``, where that is not the corpus.
        """
        ...

    def example(self, root: Path) -> Path:
        """Build a small corpus in the real layout below ``root``, every class in it; gives what ``read`` takes."""
        ...


class OwnReader(Protocol):
    """The file that reads any corpus of its kind (``INFO.own``), each under a name of its own."""

    INFO: CorpusInfo
    """As of a Reader, with ``own`` true."""

    def read(self, root: Path, name: str = "") -> Corpus:
        """As of a Reader; ``name`` is what the corpus is to be called, empty: as it calls itself."""
        ...

    def holds(self, root: Path) -> bool:
        """Whether what lies in ``root`` is for this reader."""
        ...

    def example(self, root: Path) -> Path:
        """As of a Reader."""
        ...
