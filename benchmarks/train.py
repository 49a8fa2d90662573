"""Seconds per epoch of training from a cache: the peers' way against ours, in one run.

(a) One .npy file per utterance read through a DataLoader, padded by a collate function, the plain head,
torch's default Adam. (b) ``sercache.training.fit`` on the same features in memory. Published sizes; values are
random, lengths are drawn like IEMOCAP's (mean 4.5 s). ``python benchmarks/train.py --items 5531`` is the full
size; frame-level heads take --frame-items, because 13 x 768 frames of all of IEMOCAP are 50 GB.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sercache import catalog
from sercache.nn import focal_loss
from sercache.recipe import Recipe
from sercache.training import build, fit
from sercache.training.memory import keep_freed_memory

CASES = {
    "layer-attention": (24, 1024, False),
    "superb": (13, 768, False),
    "linear": (13, 768, False),
    "mlp": (13, 768, False),
    "weighted-dense": (13, 768, True),
}
FRAME_RATE = 50  # Hz


@dataclasses.dataclass
class Memory:
    """A cache in memory: frames (L, F, D) of all items one after another, or pooled (U, L, D)."""

    values: Tensor
    labels: np.ndarray
    n_frames: np.ndarray
    pooled: bool

    def __post_init__(self) -> None:
        self.n_layers = self.values.shape[1 if self.pooled else 0]
        self.dim = self.values.shape[2]
        self.starts = np.concatenate([[0], np.cumsum(self.n_frames)[:-1]])

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int) -> Tensor:
        """(L, T, D)."""
        if self.pooled:
            return self.values[index][:, None]
        return self.values[:, self.starts[index] : self.starts[index] + self.n_frames[index]]

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        lengths = torch.from_numpy(self.n_frames[indices])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        if self.pooled:
            return self.values[torch.from_numpy(indices)][:, :, None], mask
        x = torch.zeros(len(indices), self.n_layers, mask.shape[1], self.dim)
        for row, index in enumerate(indices):
            x[row, :, : self.n_frames[index]] = self.item(index)
        return x, mask


def cache(n_items: int, n_layers: int, dim: int, frames: bool) -> Memory:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(5.2, 0.6, n_items), 30, 400).astype(np.int64)
    n_frames = lengths if frames else np.ones(n_items, np.int64)
    shape = (n_layers, int(n_frames.sum()), dim) if frames else (n_items, n_layers, dim)
    return Memory(torch.randn(shape), rng.integers(0, 4, n_items), n_frames, not frames)


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


def peers_epoch(head: nn.Module, loader: torch.utils.data.DataLoader, recipe: Recipe) -> float:
    optimiser = torch.optim.Adam(head.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    started = time.perf_counter()
    for step, (x, mask, y) in enumerate(loader, start=1):
        logits = head(x, mask)
        loss = (
            focal_loss(logits, y, 2.5) if recipe.loss == "focal" else nn.functional.cross_entropy(logits, y)
        )
        loss.backward()
        if step % recipe.accumulate == 0 or step == len(loader):
            optimiser.step()
            optimiser.zero_grad()
    return time.perf_counter() - started


def seconds_of_peers(name: str, memory: Memory, recipe: Recipe, repeats: int) -> float:
    """(a): median seconds of an epoch."""
    plain = {"exact_shortcut": False} if name == "layer-attention" else {}
    head = build(catalog.load("heads", name).Head, memory, 4, 0, **plain)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(len(memory)):
            np.save(Path(folder) / f"{index}.npy", np.ascontiguousarray(memory.item(index).numpy()))
        loader = torch.utils.data.DataLoader(
            Files(Path(folder), memory.labels), recipe.batch_size, shuffle=True, collate_fn=collate
        )
        return statistics.median(peers_epoch(head, loader, recipe) for _ in range(repeats))


def seconds_of_ours(name: str, memory: Memory, recipe: Recipe, repeats: int) -> float:
    """(b): median seconds of an epoch."""
    head = build(catalog.load("heads", name).Head, memory, 4, 0)
    epochs = dataclasses.replace(recipe, max_epochs=repeats)
    return statistics.median(epoch.seconds for epoch in fit(head, memory, None, epochs, seed=0).history)


def case(name: str, options: argparse.Namespace) -> tuple[Memory, Recipe]:
    n_layers, dim, frames = CASES[name]
    recipe = dataclasses.replace(
        catalog.load("heads", name).RECIPE, max_epochs=1, select="last-epoch", patience=None
    )
    return cache(options.frame_items if frames else options.items, n_layers, dim, frames), recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000, help="utterances of pooled heads")
    parser.add_argument("--frame-items", type=int, default=200, help="utterances of frame-level heads")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--heads", nargs="*", default=list(CASES))
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads; seconds per epoch: (a) peers' way, (b) ours; median of runs")
    print(f"{'head':16} {'items':>6} {'a, s':>9} {'b, s':>9} {'a / b':>7}")
    # All of (a) first: what keep_freed_memory sets cannot be taken back, and peers do not have it.
    peers = {name: seconds_of_peers(name, *case(name, options), options.repeats) for name in options.heads}
    keep_freed_memory()
    for name in options.heads:
        memory, recipe = case(name, options)
        ours = seconds_of_ours(name, memory, recipe, options.repeats)
        row = f"{name:16} {len(memory):6} {peers[name]:9.2f} {ours:9.2f} {peers[name] / ours:7.1f}"
        if not memory.pooled:
            bucketed = seconds_of_ours(name, memory, dataclasses.replace(recipe, bucket=16), options.repeats)
            row += f"   with bucket=16: {bucketed:.2f}, {peers[name] / bucketed:.1f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
