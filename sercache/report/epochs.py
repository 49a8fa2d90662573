"""Every epoch of a run as one table, for spreadsheets and notebooks."""

from __future__ import annotations

import csv
from pathlib import Path

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
