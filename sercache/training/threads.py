"""How many threads a head is worth on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SMALL = 1e8
"""Products a step below which threads wait for each other longer than they work."""


def products(head: nn.Module, n_items: int, n_layers: int, n_frames: float) -> float:
    """Upper bound of the products of one forward pass: every parameter at every layer and frame."""
    return sum(p.numel() for p in head.parameters()) * n_items * n_layers * n_frames


@contextmanager
def fitting_threads(device: torch.device, n_products: float) -> Iterator[None]:
    """One thread for steps of few products, torch's own number for others; put back at the end.

    A step of a linear probe takes microseconds. Shared between threads, each of its operations ends in a
    barrier, and on a machine with other work a barrier waits for a thread that is not running: 150 epochs of
    a linear probe (9 steps each) took 51 s with two threads and 2 s with one (two cores, six other processes).
    """
    before = torch.get_num_threads()
    if device.type != "cpu" or n_products > SMALL or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
