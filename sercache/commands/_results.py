"""`sercache train | sweep | evaluate`: what came out, as tables."""

from __future__ import annotations

from sercache.commands._console import columns
from sercache.experiment import sweep as sweeps
from sercache.experiment import test_on, train
from sercache.experiment.outcome import shown
from sercache.progress import say, used
from sercache.report import tables


def run(options: train.TrainOptions) -> None:
    """Train as asked and print the table. Raises SercacheError."""
    result = train.run(options)
    say()
    say(shown([result.report]))
    used("run", result.folder)


def sweep(options: sweeps.SweepOptions) -> None:
    """Train every point, print all by their dev scores, and the table of the one that was selected."""
    found = sweeps.run(options)
    say()
    rows = [[*point.values(), f"{score:.4f}"] for point, score in found.points]
    best = found.points[0][0]
    for line in columns([[*best, f"mean {found.on}"], *rows]):
        say(line)
    used("selected", ", ".join(f"{name}={value}" for name, value in best.items()))
    used("table", found.table)
    say()
    say(shown([found.result.report]))
    used("run", found.result.folder)


def evaluate(options: test_on.TestOptions) -> None:
    """Test the heads of a run on another corpus and print the table."""
    result = test_on.run(options)
    say()
    say(tables.table([result.report]))
    used("written", result.folder)
