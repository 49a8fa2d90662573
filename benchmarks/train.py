"""Seconds per epoch of training from a cache: the peers' way, ours, and ours with 25 members, in one run.

(a) One .npy file per utterance read through a DataLoader, padded by a collate function, the plain head,
torch's default Adam. (b) ``sercache.training.fit`` from the cache. (c) ``fit_many`` with 5 folds x 5 seeds, per
member; with ``--share-order`` the seeds of a fold see the same batches. Published sizes; values are random,
lengths are drawn like IEMOCAP's (mean 4.5 s). ``python benchmarks/train.py --items 5531`` is the full size;
frame-level heads take --frame-items, because 13 x 768 frames of all of IEMOCAP are 25 GB in float16.

The last columns say what bounds (b): its multiplications as a share of the matrix rate that was measured in the
same run, and the bytes of features it must read as a share of the measured copying rate.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache import catalog
from sercache.nn import focal_loss
from sercache.recipe import Recipe
from sercache.training import Member, build, fit, fit_many
from sercache.training.memory import keep_freed_memory
from sercache.views import FeatureView, Source

CASES = {
    "layer-attention": (24, 1024, False),
    "superb": (13, 768, False),
    "linear": (13, 768, False),
    "mlp": (13, 768, False),
    "weighted-dense": (13, 768, True),
    "cta-rnn": (12, 512, True),
}
FOLDS, SEEDS = 5, 5


class Cache:
    """What a view reads of a store, over random values: frames (L, T, D) float16, or means."""

    def __init__(self, n_items: int, n_layers: int, dim: int, frames: bool) -> None:
        rng = np.random.default_rng(0)
        lengths = np.clip(rng.lognormal(5.2, 0.6, n_items), 30, 400).astype(np.int64)  # frames at 50 Hz
        self.spec = SimpleNamespace(dim=dim, dtype="float16" if frames else "float32", digest="random")
        self.n_frames = lengths if frames else np.ones(n_items, np.int64)
        self.ids = [str(k) for k in range(n_items)]
        self.states = [str(k + 1) for k in range(n_layers)]
        self.means = torch.randn(n_items, n_layers, dim).numpy() if not frames else None
        pool = torch.randn(n_layers, 400, dim).half().numpy()
        self.frames = [np.roll(pool[:, :n], k, 0).copy() for k, n in enumerate(lengths)] if frames else []

    def entries(self) -> dict[str, Any]:
        return {id: SimpleNamespace(n_frames=int(n)) for id, n in zip(self.ids, self.n_frames, strict=True)}

    def read_many(self, ids: Sequence[str], states: Sequence[str]) -> list[np.ndarray]:
        return [self.frames[int(id)] for id in ids]

    def pooled(self, ids: Sequence[str], states: Sequence[str], what: str) -> np.ndarray:
        return self.means  # type: ignore[return-value]

    def item(self, k: int) -> np.ndarray:
        """(L, T, D) float32, as peers keep it."""
        return self.means[k][:, None] if self.means is not None else self.frames[k].astype(np.float32)

    def view(self) -> FeatureView:
        frames = self.means is None
        source = Source(self, self.ids, self.ids, self.states, frames=frames, max_frames=None, budget=1 << 40)  # type: ignore[arg-type]
        source.load()
        if frames:
            self.frames = []  # what the view keeps is enough
        labels = np.random.default_rng(1).integers(0, 4, len(self.ids))
        return FeatureView(source, np.arange(len(self.ids)), labels)


class Files(torch.utils.data.Dataset):
    def __init__(self, folder: Path, labels: np.ndarray) -> None:
        self.folder, self.labels = folder, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(np.load(self.folder / f"{index}.npy")), int(self.labels[index])


def collate(items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    lengths = torch.tensor([x.shape[1] for x, _ in items])
    x = nn.utils.rnn.pad_sequence([x.transpose(0, 1) for x, _ in items], batch_first=True).transpose(1, 2)
    return x, torch.arange(x.shape[2]) < lengths[:, None], torch.tensor([y for _, y in items])


def peers_epoch(head: nn.Module, loader: Any, recipe: Recipe, device: str) -> float:
    optimiser = torch.optim.Adam(head.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    started = time.perf_counter()
    for step, (x, mask, y) in enumerate(loader, start=1):
        logits, y = head(x.to(device), mask.to(device)), y.to(device)
        loss = (
            focal_loss(logits, y, 2.5) if recipe.loss == "focal" else nn.functional.cross_entropy(logits, y)
        )
        loss.backward()
        if step % recipe.accumulate == 0 or step == len(loader):
            optimiser.step()
            optimiser.zero_grad()
    wait_for(device)
    return time.perf_counter() - started


def seconds_of_peers(name: str, options: argparse.Namespace) -> float:
    """(a): median seconds of an epoch."""
    store, recipe = case(name, options)
    labels = np.random.default_rng(1).integers(0, 4, len(store.ids))
    plain = {"exact_shortcut": False} if name == "layer-attention" else {}
    shape = SimpleNamespace(n_layers=len(store.states), dim=store.spec.dim)
    head = build(catalog.load("heads", name).Head, shape, 4, 0, **plain).to(options.device)
    with tempfile.TemporaryDirectory() as folder:
        for k in range(len(store.ids)):
            np.save(Path(folder) / f"{k}.npy", np.ascontiguousarray(store.item(k)))
        loader = torch.utils.data.DataLoader(
            Files(Path(folder), labels), recipe.batch_size, shuffle=True, collate_fn=collate
        )
        return statistics.median(
            peers_epoch(head, loader, recipe, options.device) for _ in range(options.repeats)
        )


def seconds_of_ours(head: nn.Module, view: FeatureView, recipe: Recipe, device: str, repeats: int) -> float:
    """(b): median seconds of an epoch."""
    epochs = dataclasses.replace(recipe, max_epochs=repeats + 1)
    done = fit(copy.deepcopy(head), view, None, epochs, seed=0, device=device).history[1:]
    return statistics.median(epoch.seconds for epoch in done)


def seconds_of_many(
    head: nn.Module, view: FeatureView, recipe: Recipe, options: argparse.Namespace
) -> tuple[float, float, float, str]:
    """(c) against (b'): of the same members, wall and CPU seconds of an epoch of one, and the way that was chosen.

    Both count everything between the call and the last fit, trials and starts included; heads are copied
    before. Gives wall and CPU ratios (b') / (c), the wall seconds of (c) and the way.
    """
    said: list[str] = []
    everything = np.arange(len(view))
    parts = [subset(view, everything[everything % FOLDS != fold]) for fold in range(FOLDS)]

    def members() -> list[Member]:
        return [
            Member(copy.deepcopy(head), part, None, seed, 0 if options.share_order else None)
            for part in parts
            for seed in range(SEEDS)
        ]

    epochs = dataclasses.replace(recipe, max_epochs=options.epochs)
    alone, together = members()[:: FOLDS * SEEDS // options.alone], members()
    wall, cpu = time_of(lambda: fit_many(together, epochs, device=options.device, say=said.append))
    of_one = [
        time_of(lambda m=m: fit(m.head, m.train, None, epochs, seed=m.seed, device=options.device))  # type: ignore[misc]
        for m in alone
    ]
    ours = wall / len(together), cpu / len(together)
    theirs = [statistics.median(each[k] for each in of_one) for k in range(2)]
    return theirs[0] / ours[0], theirs[1] / ours[1], ours[0] / options.epochs, said[0].partition(":")[0]


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
    counter = FlopCounterMode(display=False)
    copied = copy.deepcopy(head).train()
    with counter:
        copied(x, mask).sum().backward()
    n_batches = len(view) / len(rows)
    return counter.get_total_flops() * n_batches, 2.0 * x.nbytes * n_batches


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


def wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def case(name: str, options: argparse.Namespace) -> tuple[Cache, Recipe]:
    n_layers, dim, frames = CASES[name]
    recipe = dataclasses.replace(
        catalog.load("heads", name).RECIPE, max_epochs=1, select="last-epoch", patience=None,
        schedule="constant",
    )  # fmt: skip
    return Cache(options.frame_items if frames else options.items, n_layers, dim, frames), recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000, help="utterances of pooled heads")
    parser.add_argument("--frame-items", type=int, default=200, help="utterances of frame-level heads")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of each of the members of (c)")
    parser.add_argument("--alone", type=int, default=5, help="how many of them are timed alone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--share-order", action="store_true", help="seeds of a fold see the same batches")
    parser.add_argument("--heads", nargs="*", default=[n for n in CASES if n in catalog.names("heads")])
    options = parser.parse_args()
    # All of (a) first: what keep_freed_memory sets cannot be taken back, and peers do not have it.
    peers = {name: seconds_of_peers(name, options) for name in options.heads}
    keep_freed_memory()
    gemm, copying = rates(options.device)
    print(
        f"{torch.get_num_threads()} threads, {options.device}: {gemm / 1e9:.0f} GFLOP/s in matrix products, "
        f"{copying / 1e9:.1f} GB/s copying; seconds per epoch: (a) peers' way, (b) ours, (c) ours, one of "
        f"{FOLDS * SEEDS} members on 4/5 of the items; b/c and cpu: wall and CPU seconds of one of them alone, "
        f"by those of (c), over {options.epochs} epochs"
    )
    print(
        f"{'head':16} {'items':>6} {'a':>8} {'b':>8} {'a/b':>6} {'c':>8} {'b/c':>6} {'cpu':>6} {'GB':>6} {'gemm':>5} "
        f"{'read':>5}  (c)"
    )
    for name in options.heads:
        store, recipe = case(name, options)
        view = store.view()
        head = build(catalog.load("heads", name).Head, view, 4, 0)
        flops, n_bytes = work_of(head, view, recipe)
        ours = seconds_of_ours(head, view, recipe, options.device, options.repeats)
        by_wall, by_cpu, many, way = seconds_of_many(head, view, recipe, options)
        print(
            f"{name:16} {len(view):6} {peers[name]:8.2f} {ours:8.2f} {peers[name] / ours:6.1f} {many:8.2f} "
            f"{by_wall:6.2f} {by_cpu:6.2f} {view.plan.bytes / 1e9:6.2f} {flops / ours / gemm:5.0%} "
            f"{n_bytes / ours / copying:5.0%}  {way}",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of this process {peak:.2f} GB")


if __name__ == "__main__":
    main()
