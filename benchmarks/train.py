"""Seconds per epoch of training from a cache: the peers' way, ours, and ours with 25 members, in one run.

(a) One .npy file per utterance read through a DataLoader, padded by a collate function, the plain head (torch's
recurrent layers), torch's default Adam. (b) ``sercache.training.fit`` from the cache. (c) ``fit_many`` with 5 folds
x 5 seeds, per member; with ``--share-order`` the seeds of a fold see the same batches. Published sizes; values are
random, lengths are drawn like IEMOCAP's (mean 4.5 s). ``--items 5531`` is all of IEMOCAP, for pooled heads: 13 x 768
frames of it are 25 GB in float16.

The last columns say what bounds (b): its multiplications as a share of the matrix rate that was measured right
before and after, and the bytes of features it must read as a share of the measured copying rate.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

# As the command line does, before torch is loaded (docs/decisions/0005).
os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from peers import seconds_of_peers, wait_for
from random_cache import CASES, Cache, recipe_of
from torch import nn

from sercache import catalog
from sercache.recipe import Recipe
from sercache.training import Member, build, fit, fit_many
from sercache.training.memory import keep_freed_memory
from sercache.views import FeatureView

FOLDS, SEEDS = 5, 5


def seconds_of_ours(head: nn.Module, view: FeatureView, recipe: Recipe, device: str, repeats: int) -> float:
    """(b): median seconds of an epoch."""
    epochs = dataclasses.replace(recipe, max_epochs=repeats + 1)
    done = fit(copy.deepcopy(head), view, None, epochs, seed=0, device=device).history[1:]
    return statistics.median(epoch.seconds for epoch in done)


def seconds_of_many(
    head: nn.Module, view: FeatureView, recipe: Recipe, options: argparse.Namespace, n_epochs: int
) -> tuple[float, float, float, str]:
    """(c) against (b'): of the same members, wall and CPU seconds of an epoch of one, and the way that was chosen.

    Both count everything between the call and the last fit, trials and starts included; heads are copied
    before. Those alone are timed half before and half after. Gives wall and CPU ratios (b') / (c), the wall seconds
    of (c) and the way.
    """
    said: list[str] = []
    everything = np.arange(len(view))
    parts = [subset(view, everything[everything % FOLDS != fold]) for fold in range(FOLDS)]
    epochs = dataclasses.replace(recipe, max_epochs=n_epochs)

    def members() -> list[Member]:
        return [
            Member(copy.deepcopy(head), part, None, seed, 0 if options.share_order else None)
            for part in parts
            for seed in range(SEEDS)
        ]

    def each_alone(some: list[Member]) -> list[tuple[float, float]]:
        return [
            time_of(lambda m=m: fit(m.head, m.train, None, epochs, seed=m.seed, device=options.device))  # type: ignore[misc]
            for m in some
        ]

    alone, together = members()[:: FOLDS * SEEDS // options.alone], members()
    of_one = each_alone(alone[::2])
    wall, cpu = time_of(lambda: fit_many(together, epochs, device=options.device, say=said.append))
    of_one += each_alone(alone[1::2])
    ours = wall / len(together), cpu / len(together)
    theirs = [statistics.mean(each[k] for each in of_one) for k in range(2)]
    return theirs[0] / ours[0], theirs[1] / ours[1], ours[0] / n_epochs, said[0].partition(":")[0]


def time_of(act: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds, the latter of this process and of those that it started and that have ended."""

    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(each.ru_utime + each.ru_stime for each in both)

    wall, cpu = time.perf_counter(), used()
    act()
    return time.perf_counter() - wall, used() - cpu


def subset(view: FeatureView, rows: np.ndarray) -> FeatureView:
    return dataclasses.replace(view, rows=view.rows[rows], labels=view.labels[rows])


def work_of(head: nn.Module, view: FeatureView, recipe: Recipe) -> tuple[float, float]:
    """Multiplications x 2 and bytes of features that an epoch cannot do without, from one batch."""
    from torch.utils.flop_counter import FlopCounterMode

    rows = np.random.default_rng(0).permutation(len(view))[: recipe.batch_size]
    x, mask = view.batch(rows)
    # Recurrences add in place, which the counter does not know of, and hide from it in threads of their own.
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: flops_of_addmm})
    copied, n_threads = copy.deepcopy(head).train(), torch.get_num_threads()
    torch.set_num_threads(1)
    with counter:
        copied(x, mask).sum().backward()
    torch.set_num_threads(n_threads)
    n_batches = len(view) / len(rows)
    return counter.get_total_flops() * n_batches, 2.0 * x.nbytes * n_batches


def flops_of_addmm(target: Sequence[int], a: Sequence[int], b: Sequence[int], **more: object) -> int:
    """Of shapes (N, M), (N, D), (D, M)."""
    return 2 * a[0] * a[1] * b[1]


def rates(device: str) -> tuple[float, float]:
    """Matrix multiplications (FLOP/s) and copying (bytes read and written per second) of this machine."""
    a, b = (torch.randn(2048, 2048, device=device) for _ in range(2))
    big = torch.randn(64 << 20, device=device)
    other = torch.empty_like(big)
    return 2 * 2048**3 / fastest(lambda: a @ b, device), 2 * big.nbytes / fastest(
        lambda: other.copy_(big), device
    )


def fastest(act: Callable[[], object], device: str, n: int = 5) -> float:
    found = []
    for _ in range(n):
        wait_for(device)
        started = time.perf_counter()
        act()
        wait_for(device)
        found.append(time.perf_counter() - started)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, help="utterances, in place of each head's own number")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of each of the members of (c)")
    parser.add_argument("--alone", type=int, default=4, help="how many of them are timed alone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--share-order", action="store_true", help="seeds of a fold see the same batches")
    parser.add_argument("--heads", nargs="*", default=list(CASES))
    options = parser.parse_args()
    peers = {name: peers_apart(name, options) for name in options.heads}
    keep_freed_memory()
    gemm, copying = rates(options.device)
    print(
        f"{torch.get_num_threads()} threads, {options.device}: {gemm / 1e9:.0f} GFLOP/s in matrix products, "
        f"{copying / 1e9:.1f} GB/s copying; seconds per epoch: (a) peers' way, (b) ours, (c) ours, one of "
        f"{FOLDS * SEEDS} members on 4/5 of the items; b/c and cpu: wall and CPU seconds of one of them alone, "
        "by those of (c), trials and starts included"
    )
    print(
        f"{'head':16} {'items':>6} {'a':>8} {'b':>8} {'a/b':>6} {'c':>8} {'b/c':>6} {'cpu':>6} {'GB':>6} {'gemm':>5} "
        f"{'read':>5}  (c)"
    )
    for name in options.heads:
        print_case(name, options, peers[name], copying)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of this process {peak:.2f} GB")


def peers_apart(name: str, options: argparse.Namespace) -> float:
    """(a), in a process of its own: the memory that torch's recurrences leave in pieces slowed ours by a third."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        done = pool.submit(seconds_of_peers, name, cache_of(name, options), options.device, options.repeats)
        return done.result()


def cache_of(name: str, options: argparse.Namespace) -> Cache:
    """The head's case; one batch of a recipe that sorts by length is one of like lengths."""
    recipe, n_items = recipe_of(name), options.items or CASES[name].n_items
    whole_windows = n_items >= recipe.batch_size * recipe.bucket
    return Cache(CASES[name], n_items, 1 if whole_windows else recipe.bucket)


def print_case(name: str, options: argparse.Namespace, peers: float, copying: float) -> None:
    """A line of the table."""
    view, recipe = cache_of(name, options).view(), recipe_of(name)
    head = build(catalog.load("sercache.heads", name).Head, view, 4, 0)
    flops, n_bytes = work_of(head, view, recipe)
    before, _ = rates(options.device)
    ours = seconds_of_ours(head, view, recipe, options.device, options.repeats)
    gemm = (before + rates(options.device)[0]) / 2  # of this minute: other work may come and go
    n_epochs = options.epochs or CASES[name].n_epochs
    by_wall, by_cpu, many, way = seconds_of_many(head, view, recipe, options, n_epochs)
    print(
        f"{name:16} {len(view):6} {peers:8.2f} {ours:8.2f} {peers / ours:6.1f} {many:8.2f} "
        f"{by_wall:6.2f} {by_cpu:6.2f} {view.plan.bytes / 1e9:6.2f} {flops / ours / gemm:5.0%} "
        f"{n_bytes / ours / copying:5.0%}  {way}",
        flush=True,
    )


if __name__ == "__main__":
    main()
