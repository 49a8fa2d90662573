"""What each way of training several members gains over training them one after another, in one run.

Five seeds of two folds (two for the heavy heads) of each head at its published size, on random values: milliseconds
by the clock of an epoch of one member, everything between the call and the last fit counted, and the gain by the clock
and in CPU time. ``own`` members draw batches of their own, ``shared`` those of a fold see the same
(``--share-order``). The ways are timed in turn, again and again, and the fastest turn of each counts, as other work on
the machine only ever adds to it; the last column is the load average. On a GPU (``--device cuda``) there are no
processes, and the gain in CPU time says little.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import NamedTuple

# As the command line does, before torch is loaded (docs/decisions/0005).
os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from random_cache import CASES, Cache, recipe_of
from train import time_of

from sercache import catalog
from sercache.recipe import Recipe
from sercache.training import Member, build, fit_many, keep_freed_memory
from sercache.views import FeatureView

FOLDS = 2


class Size(NamedTuple):
    """How much of a head is timed."""

    n_items: int
    n_seeds: int
    n_epochs: int


SIZES = {
    "linear": Size(1000, 5, 10),
    "superb": Size(1000, 5, 5),
    "mlp": Size(1000, 5, 3),
    "layer-attention": Size(48, 2, 1),
    "weighted-dense": Size(48, 2, 1),
    "cta-rnn": Size(16, 2, 1),
}
WAYS = ("serial", "processes", "stacked")


def ways_on(device: str) -> tuple[str, ...]:
    return WAYS if device == "cpu" else ("serial", "stacked")


def members_of(name: str, view: FeatureView, n_seeds: int, *, shared: bool) -> list[Member]:
    head = catalog.load("sercache.heads", name).Head
    rows = np.arange(len(view))
    parts = [rows[rows % (2 * FOLDS) != fold] for fold in range(FOLDS)]
    views = [dataclasses.replace(view, rows=view.rows[part], labels=view.labels[part]) for part in parts]
    return [
        Member(build(head, part, 4, seed), part, None, seed, 0 if shared else None)
        for part in views
        for seed in range(n_seeds)
    ]


def seconds_of(
    name: str, view: FeatureView, size: Size, recipe: Recipe, way: str, shared: bool, device: str
) -> tuple[float, float]:
    """Wall and CPU seconds of an epoch of one member; not a number where the way cannot be gone."""
    members, said = members_of(name, view, size.n_seeds, shared=shared), []
    taken = time_of(lambda: fit_many(members, recipe, device=device, way=way, say=said.append))  # type: ignore[arg-type]
    starts = {"serial": "one", "processes": "in", "stacked": "as one"}
    went = said[0].startswith(starts[way])
    wall, cpu = (each / len(members) / recipe.max_epochs if went else float("nan") for each in taken)
    return wall, cpu


def print_case(name: str, size: Size, n_turns: int, device: str) -> None:
    """Two lines of the table."""
    ways = ways_on(device)
    recipe = dataclasses.replace(recipe_of(name), max_epochs=size.n_epochs)
    whole_windows = size.n_items >= recipe.batch_size * recipe.bucket
    view = Cache(CASES[name], size.n_items, 1 if whole_windows else recipe.bucket).view()
    for shared in (False, True):
        turns = [
            {way: seconds_of(name, view, size, recipe, way, shared, device) for way in ways}
            for _ in range(n_turns)
        ]
        cells = []
        for way in ways:
            ours, serial = (
                [min(turn[each][k] for turn in turns) for k in range(2)] for each in (way, "serial")
            )
            cells.append(f"{ours[0] * 1e3:8.1f} {serial[0] / ours[0]:5.2f} {serial[1] / ours[1]:5.2f}")
        load = os.getloadavg()[0]
        print(
            f"{name:16} {'shared' if shared else 'own':7} {FOLDS * size.n_seeds:3} {' '.join(cells):62} {load:5.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--heads", nargs="*", default=list(SIZES))
    options = parser.parse_args()
    keep_freed_memory()
    print(
        f"{torch.get_num_threads()} threads of {len(os.sched_getaffinity(0))} cores; "
        f"ms of an epoch on {options.device}, then the gain over serial by the clock and in CPU time"
    )
    print(
        f"{'head':16} {'batches':7} {'K':>3} "
        + " ".join(f"{way:>20}" for way in ways_on(options.device))
        + "  load"
    )
    for name in options.heads:
        print_case(name, SIZES[name], options.turns, options.device)


if __name__ == "__main__":
    main()
