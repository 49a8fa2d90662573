"""Weights & Biases: one run a run, told when it is done; offline unless WANDB_MODE says otherwise.

It is not followed live: a run of theirs belongs to one process, and cannot be gone on with where it is offline.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sercache.record import Report
from sercache.report.tracking._told import (
    figures_in,
    files_in,
    results_of,
    scores_of,
    settings_of,
    training_name,
)

NEEDS = ("wandb", "init")
INSTALL = "pip install wandb"


def begin_anew(partial: Path) -> None:
    """Nothing was told."""


def following(partial: Path, experiment: str) -> None:
    """Nothing follows."""


def finished(report: Report, folder: Path, partial: Path) -> str:
    """A run with hyper-parameters, every epoch, results, figures and files; gives where it lies."""
    mode = os.environ.get("WANDB_MODE") or "offline"
    if mode == "offline":
        os.environ.setdefault(
            "WANDB_ERROR_REPORTING", "false"
        )  # which would send where nothing is to be sent
    import wandb

    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "sercache"),
        name=folder.name,
        dir=str(folder.parent),
        mode=mode,
        config=settings_of(report),
        settings=wandb.Settings(silent=True, console="off"),
    )
    try:
        for number, row in sorted(_epochs(report).items()):
            run.log(row, step=number)
        run.summary.update({**results_of(report), "result": report.told})
        figures = figures_in(folder)
        if figures:
            run.log({f"figures/{name}": wandb.Image(str(path)) for name, path in figures.items()})
        kept = wandb.Artifact(f"run-{run.id}", type="run")
        for path in files_in(folder):
            kept.add_file(str(path))
        run.log_artifact(kept)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
    if mode == "offline":
        return f"W&B, offline; to send it: wandb sync {run.settings.sync_dir}"
    return f"W&B ({mode}) {run.url or run.id}"


def forget(partial: Path) -> None:
    """Nothing was noted."""


def _epochs(report: Report) -> dict[int, dict[str, Any]]:
    """By epoch what all trainings came to: steps of one run only go up."""
    rows: dict[int, dict[str, Any]] = {}
    for run in report.runs:
        name = training_name(run.fold, run.seed)
        for epoch in run.history:
            told = {f"{what}/{name}": value for what, value in scores_of(epoch).items()}
            rows.setdefault(int(epoch["number"] or 0), {}).update(told)
    return rows
