"""How long a training takes by its forecast, and by the clock: of every head at its published size.

The forecast is that of ``train``, from a few updates on random features; the training is a fixed number of updates,
timed three times. Heads of little work are trained for some seconds, others for a few updates. ``--small`` takes
small sizes instead. Gives the worst ratio of the medians, which is to lie within 1.5 either way. ``--cpu`` judges the
model of cost where other work takes the cores: both are in seconds of the processor that this process had.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import statistics
import tempfile
import time
from pathlib import Path

# As the command line does, before torch is loaded (docs/decisions/0005).
os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")

import training_cost

from sercache import catalog
from sercache.paces import machine
from sercache.training import fit
from sercache.training.memory import keep_freed_memory
from sercache.training.pace import measured
from sercache.units import duration

TIMES = 3
BAR = 1.5


def compare(name: str, folder: Path, options: argparse.Namespace) -> tuple[float, float, float, int]:
    """Seconds by the forecast, by the clock, for the forecast itself, and updates of the training."""
    work = training_cost.work_of(name, folder, options.device, updates=options.updates, small=options.small)
    head, view, recipe = work.member.head, work.member.train, work.recipe
    began = time.perf_counter()
    pace = measured(work, 25)
    took = time.perf_counter() - began
    of_epoch = (work.seconds(pace, 0) - pace.start) / recipe.max_epochs
    n_epochs = max(1, min(recipe.max_epochs, round(options.seconds / of_epoch)))
    short = dataclasses.replace(recipe, max_epochs=n_epochs)
    found = []
    for _ in range(TIMES):
        again = copy.deepcopy(head)
        began = time.perf_counter()
        fit(again, view, None, short, seed=0, device=options.device)
        found.append(time.perf_counter() - began)
    told = dataclasses.replace(work, recipe=short)
    forecast = told.once(pace) + told.seconds(pace, 0)
    return forecast, statistics.median(found), took, n_epochs * len(work.groups)


def main() -> None:
    names = [name for name in catalog.names("sercache.heads") if hasattr(_module(name), "RECIPE")]
    trained = [name for name in names if not hasattr(_module(name).Head, "solve")]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", nargs="*", default=trained)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each training, about")
    parser.add_argument("--updates", type=int, default=3, help="of an epoch")
    parser.add_argument("--cpu", action="store_true", help="seconds of the processor, not of the clock")
    options = parser.parse_args()
    if options.cpu:
        time.perf_counter = time.process_time
    keep_freed_memory()
    print(f"{machine(options.device)}; {TIMES} times each; load {os.getloadavg()[0]:.1f}")
    print("| head | updates | forecast | by the clock | forecast / clock | the forecast took |")
    print("|---|---|---|---|---|---|")
    ratios = {}
    for name in options.heads:
        with tempfile.TemporaryDirectory() as folder:
            told, taken, took, n_updates = compare(name, Path(folder), options)
        ratios[name] = told / taken
        print(
            f"| {name} | {n_updates} | {duration(told)} | {duration(taken)} | {told / taken:.2f} | {duration(took)} |",
            flush=True,
        )
    worst = max(ratios, key=lambda name: max(ratios[name], 1 / ratios[name]))
    print(f"worst: {worst}, {ratios[worst]:.2f}; load {os.getloadavg()[0]:.1f}")


def _module(name: str):
    return catalog.load("sercache.heads", name)


if __name__ == "__main__":
    main()
