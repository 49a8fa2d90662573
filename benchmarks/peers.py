"""Training from a cache as peers do: one .npy file per utterance, a DataLoader, the plain head, torch's Adam."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from random_cache import Cache, recipe_of
from torch import Tensor, nn

from sercache import catalog
from sercache.nn import _recurrent, focal_loss
from sercache.recipe import Recipe
from sercache.training import build


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


def seconds_of_peers(name: str, store: Cache, device: str, repeats: int) -> float:
    """Median seconds of an epoch."""
    recipe = recipe_of(name)
    labels = np.random.default_rng(1).integers(0, 4, len(store.ids))
    plain = {"exact_shortcut": False} if name == "layer-attention" else {}
    shape = SimpleNamespace(n_layers=len(store.states), dim=store.spec.dim)
    head = build(catalog.load("sercache.heads", name).Head, shape, 4, 0, **plain).to(device)
    with tempfile.TemporaryDirectory() as folder, torchs_recurrences():
        for k in range(len(store.ids)):
            np.save(Path(folder) / f"{k}.npy", np.ascontiguousarray(store.item(k)))
        loader = torch.utils.data.DataLoader(
            Files(Path(folder), labels), recipe.batch_size, shuffle=True, collate_fn=collate
        )
        return statistics.median(peers_epoch(head, loader, recipe, device) for _ in range(repeats))


@contextmanager
def torchs_recurrences() -> Iterator[None]:
    """Recurrent layers by torch's own packed GRU and LSTM."""

    def each_by_torch(rnns: Sequence[nn.RNNBase], x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        found = [_recurrent._by_torch(rnn, x[:, k], lengths.clamp_min(1)) for k, rnn in enumerate(rnns)]
        return torch.stack([out for out, _ in found], 1), torch.stack([last for _, last in found])

    with mock.patch.object(_recurrent, "over_frames_of_each", each_by_torch):
        yield


def wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
