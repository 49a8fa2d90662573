"""Every epoch of a run as one table, for spreadsheets and notebooks, and as TensorBoard events."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sercache.errors import MissingExtraError
from sercache.report.record import Report

EPOCHS = "epochs.csv"


def write_epochs(report: Report, folder: Path) -> Path:
    """Write ``epochs.csv`` into a run folder: a line per fold, seed and epoch; empty where not known."""
    rows = [{"fold": run.fold, "seed": run.seed, **epoch} for run in report.runs for epoch in run.history]
    path = folder / EPOCHS
    with path.open("w", encoding="utf-8", newline="") as file:
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = csv.DictWriter(file, names, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
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
    check_tensorboard()
    from tensorboardX import SummaryWriter

    place = folder / "tensorboard"
    for run in report.runs:
        with SummaryWriter(str(place / f"fold-{quote(run.fold, safe=' ')}-seed-{run.seed}")) as events:
            for epoch in run.history:
                numbers = {
                    name: value for name, value in epoch.items() if name != "number" and value is not None
                }
                for name, value in numbers.items():
                    events.add_scalar(name, value, epoch["number"])
    return place
