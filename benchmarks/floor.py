"""CPU seconds of an update of the dearest heads at published size, against torch's own layers, and the floor below.

In one run, by one thread: torch's recurrent layers and convolutions of the whole padded map, then ours; forward and
backward. The floor is the products that are left, on real frames alone, at the rate of a matrix product that was
measured beside them. Lengths are drawn like IEMOCAP's, values are random. ``--layers``: of single recurrent layers,
ours and torch's of a batch of one length, which for LSTMs is oneDNN, and torch's of lengths that fall by a frame each.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from peers import torchs_recurrences
from random_cache import lengths_of
from torch import Tensor, nn

from sercache.heads import cnn_lstm, cnn_lstm_attention, cta_rnn
from sercache.nn import StretchedFrames, _recurrent, over_frames
from sercache.training.memory import keep_freed_memory

REPEATS = 2


def products_of(rnn: nn.RNNBase, n_frames: float) -> tuple[float, float]:
    """Of a recurrent network over so many frames: all of them, and those of its first map of the input."""
    weights = [p for name, p in rnn.named_parameters() if name.startswith("weight")]
    first = [p for name, p in rnn.named_parameters() if name.startswith("weight_ih_l0")]
    return tuple(n_frames * sum(p.numel() for p in some) for some in (weights, first))  # type: ignore[return-value]


def floor_of(head: nn.Module, lengths: np.ndarray) -> float:
    """Products of an update on real frames: three times those forward, without the gradient of what is cached."""
    total = 0.0
    frames = float(lengths.sum())
    for network in getattr(head, "rnns", ()):
        every, first = products_of(network.gru, frames)
        total += 3 * every - first
    for network in getattr(head, "networks", ()):
        convs = [conv.weight.numel() * frames for conv in network.front.convs]
        total += 3 * sum(convs) - convs[0] + 3 * products_of(network.lstm, frames / 2)[0]
    return total


@contextmanager
def plain() -> Iterator[None]:
    """torch's own layers, over all that is padded."""

    def whole(x: Tensor, lengths: Tensor) -> Tensor:
        return x

    with torchs_recurrences(), mock.patch.object(StretchedFrames, "of", whole):
        yield


def seconds_of(step: Callable[[], Tensor]) -> tuple[float, float]:
    """CPU seconds forward and backward, the least of some."""
    found = []
    for _ in range(REPEATS + 1):
        began = time.process_time()
        loss = step()
        middle = time.process_time()
        loss.backward()
        found.append((middle - began, time.process_time() - middle))
    forward, backward = (min(each) for each in zip(*found[1:], strict=True))
    return forward, backward


def rate() -> float:
    """Products a second of one matrix product of these shapes."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 768)
    a @ b
    began = time.process_time()
    for _ in range(10):
        a @ b
    return 10 * 1024 * 1024 * 768 / (time.process_time() - began)


def single_layers(products_a_second: float) -> None:
    """Print the seconds of layers of a GRU and of LSTMs by torch, padded and packed, and by ours."""
    print("| layers | items, frames, features, units | torch's, padded | torch's, packed | ours | floor |")
    print("|---|---|---|---|---|---|")
    for kind, n_layers, *shape in (
        (nn.GRU, 1, 32, 180, 512, 256),
        (nn.LSTM, 1, 32, 180, 512, 256),
        (nn.LSTM, 2, 128, 90, 192, 512),
    ):
        n_items, n_frames, dim, hidden = shape
        rnn = kind(dim, hidden, n_layers, batch_first=True)
        x = torch.randn(n_items, n_frames, dim, requires_grad=True)
        alike = torch.full((n_items,), n_frames)
        differing = (alike - torch.arange(n_items)).clamp_min(1)

        def padded(rnn: nn.RNNBase = rnn, x: Tensor = x) -> Tensor:
            return rnn(x)[0].square().sum()

        def packed(rnn: nn.RNNBase = rnn, x: Tensor = x, lengths: Tensor = differing) -> Tensor:
            return _recurrent._by_torch(rnn, x, lengths)[0].square().sum()

        def ours(rnn: nn.RNNBase = rnn, x: Tensor = x, lengths: Tensor = alike) -> Tensor:
            return over_frames(rnn, x, lengths)[0].square().sum()

        took = [f"{sum(seconds_of(step)):.3f} s" for step in (padded, packed, ours)]
        floor = 3 * products_of(rnn, n_items * n_frames)[0] / products_a_second
        print(f"| {n_layers} {kind.__name__} | {shape} | {' | '.join(took)} | {floor:.3f} s |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("cta-rnn", "cnn-lstm", "cnn-lstm-attention")
    parser.add_argument("--heads", nargs="*", choices=names, default=names)
    parser.add_argument("--batch", type=int, help="Items of a batch.  [default: as published]")
    parser.add_argument("--layers", action="store_true", help="Single recurrent layers instead.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    if options.layers:
        single_layers(rate())
        return
    print("| head | items | torch's layers | ours | gain | floor | share of the matrix rate |")
    print("|---|---|---|---|---|---|---|")
    for name, module, n_layers, dim, outputs in (
        ("cta-rnn", cta_rnn, 12, 512, 4),
        ("cnn-lstm", cnn_lstm, 1, 1024, 1),
        ("cnn-lstm-attention", cnn_lstm_attention, 1, 1024, 1),
    ):
        if name not in options.heads:
            continue
        n_items = options.batch or module.RECIPE.batch_size
        lengths = lengths_of(np.random.default_rng(0), n_items, module.RECIPE.bucket)
        lengths = np.minimum(lengths, 398)
        mask = torch.arange(int(lengths.max())) < torch.from_numpy(lengths)[:, None]
        x = torch.randn(n_items, n_layers, mask.shape[1], dim)
        torch.manual_seed(0)
        head = module.Head(n_layers, dim, outputs)

        def step(head: nn.Module = head, x: Tensor = x, mask: Tensor = mask) -> Tensor:
            return head(x, mask).square().sum()

        before = rate()
        with plain():
            theirs = sum(seconds_of(step))
        forward, backward = seconds_of(step)
        fastest = max(before, rate())
        floor, ours = floor_of(head, lengths) / fastest, forward + backward
        print(
            f"| {name} | {n_items} | {theirs:.2f} s | {ours:.2f} s ({forward:.2f} and {backward:.2f}) | "
            f"{theirs / ours:.2f} | {floor:.2f} s | {floor / ours:.0%} |",
            flush=True,
        )
    print(f"matrix products: {fastest / 1e9:.1f} G products/s by one thread; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
