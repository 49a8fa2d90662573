"""Every epoch of a run as one table, for spreadsheets and notebooks."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from sercache import files
from sercache.record import Report

EPOCHS = "epochs.csv"


def write_epochs(report: Report, folder: Path) -> Path:
    """Write ``epochs.csv`` into a run folder: a line per fold, seed and epoch; empty where not known."""
    rows = [{"fold": run.fold, "seed": run.seed, **epoch} for run in report.runs for epoch in run.history]
    path = folder / EPOCHS
    names = list(dict.fromkeys(name for row in rows for name in row))
    files.write_csv(path, [names, *([row.get(name, "") for name in names] for row in rows)])
    return path


class LiveEpochs:
    """Epochs in the folder of an unfinished run, each as soon as it is done: for ``tail -f``.

    Those of trainings that an earlier attempt finished are not told again; the finished run holds all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._table: Any = None

    def add(self, fold: str, seed: int, epoch: Mapping[str, Any]) -> None:
        """Write an epoch: ``number`` (from 1), scores, ``lr``, ``seconds``."""
        row = {"fold": fold, "seed": seed, **epoch}
        if self._table is None:  # nothing lies there for runs that are refused
            self.folder.mkdir(parents=True, exist_ok=True)
            self._table = (self.folder / EPOCHS).open("a", encoding="utf-8", newline="")
            if not self._table.tell():
                csv.DictWriter(self._table, row, lineterminator="\n").writeheader()
        csv.DictWriter(self._table, row, lineterminator="\n").writerow(row)
        self._table.flush()

    def __enter__(self) -> LiveEpochs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._table:
            self._table.close()


def remove_live(folder: Path) -> None:
    """Remove what ``LiveEpochs`` wrote, of a run that stands, or of an earlier attempt."""
    (folder / EPOCHS).unlink(missing_ok=True)
