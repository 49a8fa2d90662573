"""Every epoch of a run as one table, for spreadsheets and notebooks, and as TensorBoard events."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from sercache import catalog, files
from sercache.errors import MissingExtraError
from sercache.record import Report

EPOCHS = "epochs.csv"
_EVENTS = "tensorboard"


def write_epochs(report: Report, folder: Path) -> Path:
    """Write ``epochs.csv`` into a run folder: a line per fold, seed and epoch; empty where not known."""
    rows = [{"fold": run.fold, "seed": run.seed, **epoch} for run in report.runs for epoch in run.history]
    path = folder / EPOCHS
    names = list(dict.fromkeys(name for row in rows for name in row))
    files.write_csv(path, [names, *([row.get(name, "") for name in names] for row in rows)])
    return path


def check_tensorboard() -> None:
    """Raises MissingExtraError where no TensorBoard events can be written."""
    if find_spec("tensorboardX") is None:
        raise MissingExtraError(
            "TensorBoard events need tensorboardX: pip install 'sercache[track]', or read epochs.csv"
        )


def write_tensorboard(report: Report, folder: Path) -> Path:
    """Write every epoch of every training as TensorBoard events, a folder per fold and seed.

    Raises MissingExtraError without tensorboardX.
    """
    place = folder / _EVENTS
    with _Events(place) as events:
        for run in report.runs:
            for epoch in run.history:
                events.add(run.fold, run.seed, epoch)
    return place


class LiveEpochs:
    """Epochs in the folder of an unfinished run, each as soon as it is done: for ``tail -f`` and TensorBoard.

    Those of trainings that an earlier attempt finished are not told again; the finished run holds all. ``fresh``: no
    other process is writing there, so that what lies there is of an earlier attempt and goes.
    """

    def __init__(self, folder: Path, *, events: bool = False, fresh: bool = True) -> None:
        self.folder = folder
        if fresh:
            remove_live(folder)
        self._table: Any = None
        self._events = _Events(folder / _EVENTS) if events else None

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
        if self._events:
            self._events.add(fold, seed, epoch)

    def __enter__(self) -> LiveEpochs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._table:
            self._table.close()
        if self._events:
            self._events.__exit__(kind, fault, trace)


def remove_live(folder: Path) -> None:
    """Remove what ``LiveEpochs`` wrote, of a run that stands."""
    (folder / EPOCHS).unlink(missing_ok=True)
    shutil.rmtree(folder / _EVENTS, ignore_errors=True)


class _Events:
    """TensorBoard events, a folder per fold and seed. Raises MissingExtraError without tensorboardX."""

    def __init__(self, place: Path) -> None:
        check_tensorboard()
        self.place = place
        self._writers: dict[str, Any] = {}

    def add(self, fold: str, seed: int, epoch: Mapping[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        name = f"fold-{catalog.quoted_name(fold)}-seed-{seed}"
        if name not in self._writers:
            self._writers[name] = SummaryWriter(str(self.place / name), flush_secs=10)
        for what, value in epoch.items():
            if what != "number" and value is not None:
                self._writers[name].add_scalar(what, value, epoch["number"])

    def __enter__(self) -> _Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
