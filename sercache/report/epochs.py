"""Every epoch of a run as one table, for spreadsheets and notebooks, and as TensorBoard events."""

from __future__ import annotations

import csv
from pathlib import Path

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


def write_tensorboard(report: Report, folder: Path) -> Path:
    """Write every epoch of every training as TensorBoard events, a folder per fold and seed.

    Raises MissingExtraError without tensorboardX.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise MissingExtraError(
            "TensorBoard events need tensorboardX: pip install 'sercache[track]', or read epochs.csv"
        ) from None
    place = folder / "tensorboard"
    for run in report.runs:
        with SummaryWriter(str(place / f"fold-{run.fold}-seed-{run.seed}")) as events:
            for epoch in run.history:
                numbers = {
                    name: value for name, value in epoch.items() if name != "number" and value is not None
                }
                for name, value in numbers.items():
                    events.add_scalar(name, value, epoch["number"])
    return place
