"""The contract of a head, in the letters of sercache.head. What is compared is float64: rounding is no mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.contracts import head_file
from sercache.contracts.check import ContractCheck
from sercache.head import (
    Attends,
    Embeds,
    Notes,
    Solves,
    Standardises,
    WeighsLayers,
    declared,
)
from sercache.training import own_randomness, stream

Inputs = Tensor | tuple[Tensor, ...]

_CLOSE = 1e-9
"""Relative difference of two computations in float64 that are the same: rounding is some 1e-16 an operation."""
_SEEDS = 16
"""Tried for initial weights that are alive: a ReLU at the end may begin with a network that says 0 to everything."""


@dataclass(frozen=True)
class InputSizes:
    """What a head reads, one number for each input: layers L and feature size D."""

    n_layers: tuple[int, ...]
    dim: tuple[int, ...]

    @property
    def arguments(self) -> tuple[Any, Any]:
        """As the constructor takes them: numbers for one input, tuples for several."""
        return (self.n_layers[0], self.dim[0]) if len(self.dim) == 1 else (self.n_layers, self.dim)


def shape_of(module: ModuleType, n_layers: int = 4, dim: int = 24) -> InputSizes:
    """A shape that the head reads: as many inputs as it declares, one state where it reads one.

    Inputs differ in size, unless the head says that they may not.
    """
    about = declared(module)
    layers = (1 if about.one_state else n_layers,) * about.inputs
    sizes = InputSizes(layers, tuple(dim - 8 * k for k in range(about.inputs)))
    try:
        built(module, sizes, 2)
    except ValueError:
        return InputSizes(layers, (dim,) * about.inputs)
    return sizes


def built(module: ModuleType, shape: InputSizes, n_outputs: int, seed: int = 0) -> nn.Module:
    """A head with initial weights from a seed, with the options that make it quick to try."""
    with own_randomness(torch.device("cpu")) as reseed:
        reseed(stream(seed, 0, "weights"))
        head: nn.Module = module.Head(*shape.arguments, n_outputs, **declared(module).small)
    return head


def alive(module: ModuleType, shape: InputSizes, n_outputs: int) -> nn.Module:
    """A head whose outputs differ from one utterance to another."""
    x, mask = batch(shape, [3, 9, 5, 7])
    for seed in range(_SEEDS):
        head = built(module, shape, n_outputs, seed).eval()
        with torch.no_grad():
            if (head(x, mask).std(0) > 0).any():
                return head
    return built(module, shape, n_outputs).eval()


def batch(shape: InputSizes, lengths: Sequence[int], seed: int = 0) -> tuple[Inputs, Inputs]:
    """Random features (B, L, T, D) and mask (B, T) of utterances with these lengths, for each input."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    parts = [
        torch.randn(len(lengths), layers, max(lengths), dim, generator=random) * mask[:, None, :, None]
        for layers, dim in zip(shape.n_layers, shape.dim, strict=True)
    ]
    return (parts[0], mask) if len(parts) == 1 else (tuple(parts), (mask,) * len(parts))


def each(function: Callable[..., Tensor], *values: Inputs) -> Inputs:
    """``function`` of every input, whether there is one or several."""
    if isinstance(values[0], tuple):
        return tuple(function(*parts) for parts in zip(*values, strict=True))
    return function(*values)


@contextmanager
def in_float64() -> Iterator[None]:
    """Heads and features that are made meanwhile are float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _gives_outputs(module: ModuleType) -> Iterator[str]:
    for n_layers, dim, n_outputs in ((4, 24, 4), (1, 40, 7), (13, 16, 2)):
        shape = shape_of(module, n_layers, dim)
        head = built(module, shape, n_outputs)
        for what, lengths in (("sequences", [3, 9, 5, 7, 4]), ("means over time (T = 1)", [1] * 5)):
            found = head(*batch(shape, lengths))
            of = f"of {what}, L = {shape.arguments[0]}, D = {shape.arguments[1]}"
            if not isinstance(found, Tensor) or found.shape != (5, n_outputs):
                got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                yield f"forward gives {got} {of}, expected (B, C) = (5, {n_outputs})"
            elif not torch.isfinite(found).all():
                yield f"forward gives numbers that are not finite {of}"


@torch.no_grad()
def _is_deaf_to_padding(module: ModuleType) -> Iterator[str]:
    with in_float64():
        shape, lengths = shape_of(module), [3, 9, 5, 7]
        head = alive(module, shape, 4)
        x, mask = batch(shape, lengths)
        for filler in (0.0, 1e4, float("nan"), float("inf")):
            wide = each(lambda m: F.pad(m, (0, 5)), mask)
            filled = each(
                lambda a, m: torch.where(m[:, None, :, None], F.pad(a, (0, 0, 0, 5)), filler),  # noqa: B023
                x,
                wide,
            )
            together = head(filled, wide)
            for k, length in enumerate(lengths):
                alone = head(
                    each(lambda a: a[k : k + 1, :, :length], x),  # noqa: B023
                    each(lambda m: m[k : k + 1, :length], mask),  # noqa: B023
                )
                if not _alike(together[k], alone[0]):
                    yield f"padding of {filler} moves the outputs: cut it out by the mask (sercache.nn.masked_mean)"
                    return


@torch.no_grad()
def _minds_every_frame(module: ModuleType) -> Iterator[str]:
    with in_float64():
        shape, lengths = shape_of(module), [3, 9, 5, 7]
        head = alive(module, shape, 4)
        x, mask = batch(shape, lengths)
        rows, last = torch.arange(len(lengths)), torch.tensor(lengths) - 1
        random = torch.Generator().manual_seed(1)

        def moved(a: Tensor) -> Tensor:
            a = a.clone()
            a[rows, :, last] += 3 * torch.randn(a.shape[0], a.shape[1], a.shape[3], generator=random)
            return a

        if not ((head(x, mask) - head(each(moved, x), mask)).abs().amax(1) > _CLOSE).all():
            yield "the last frame of an utterance does not move its outputs"


def _learns_everywhere(module: ModuleType) -> Iterator[str]:
    if issubclass(module.Head, Solves):
        return
    shape, n_outputs = shape_of(module, 24, 64), 1 if _gives_numbers(module) else 4
    head = alive(module, shape, n_outputs).train()
    outputs = head(*batch(shape, [3, 9, 5, 7] * 4))
    if isinstance(outputs, tuple):
        outputs = outputs[0]
    if _gives_numbers(module):
        loss = F.mse_loss(outputs, torch.linspace(0.1, 1, len(outputs))[:, None])
    else:
        loss = F.cross_entropy(outputs, torch.arange(len(outputs)) % n_outputs)
    loss.backward()
    for name, parameter in head.named_parameters():
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any()):
            yield f"no gradient reaches the parameter {name}"


def _follows_its_seed(module: ModuleType) -> Iterator[str]:
    shape = shape_of(module)
    before = torch.get_rng_state()
    one, same, other = (built(module, shape, 4, seed).state_dict() for seed in (3, 3, 4))
    if any(not torch.equal(one[name], same[name]) for name in one):
        yield "two heads of one seed have other initial weights: draw them from torch's random numbers alone"
    if all(torch.equal(one[name], other[name]) for name in one):
        yield "heads of different seeds have the same initial weights"
    if not torch.equal(before, torch.get_rng_state()):
        yield "making a head moves the random numbers of whoever makes it"


def _is_its_weights(module: ModuleType) -> Iterator[str]:
    shape = shape_of(module)
    x, mask = batch(shape, [3, 9, 5, 7])
    first, second = (built(module, shape, 4, seed).eval() for seed in (1, 2))
    second.load_state_dict(first.state_dict())
    if not torch.equal(first(x, mask), second(x, mask)):
        yield "a head with the weights of another gives other outputs: keep all state in parameters and buffers"


@torch.no_grad()
def _is_able(module: ModuleType) -> Iterator[str]:
    shape = shape_of(module)
    head = built(module, shape, 4).eval()
    x, mask = batch(shape, [3, 9, 5, 7])
    n_layers = shape.n_layers[0]
    if isinstance(head, WeighsLayers):
        shares = head.layer_weights()
        if shares.shape != (n_layers,) or abs(shares.sum().item() - 1) > 1e-4:
            yield f"layer_weights gives {tuple(shares.shape)} that sum to {shares.sum().item():g}, expected (L,), sum 1"
    if isinstance(head, Attends):
        paid = head.attention(x, mask)
        if paid.dim() != 4 or (paid.shape[0], paid.shape[-1]) != (4, n_layers):
            yield f"attention gives {tuple(paid.shape)}, expected (B, heads, queries, L) = (4, ·, ·, {n_layers})"
        elif (paid.sum(-1) - 1).abs().max() > 1e-4:
            yield "attention does not sum to 1 over its last dimension"
    if isinstance(head, Embeds):
        vectors = head.embed(x, mask)
        if vectors.dim() != 2 or len(vectors) != 4:
            yield f"embed gives {tuple(vectors.shape)}, expected (B, D') = (4, ·)"
    if isinstance(head, Notes) and not all(isinstance(line, str) and "\n" not in line for line in head.notes):
        yield "notes are lines of text, each without a line break"
    declares = head.standardises if isinstance(head, Standardises) else "none"
    if declares not in ("none", "global"):
        yield f"standardises is {declares!r}, expected none or global"


def _gives_numbers(module: ModuleType) -> bool:
    return declared(module).recipe.loss in ("mse", "ccc")


def _alike(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= _CLOSE * expected.abs().max().clamp_min(1.0))


CHECKS = (
    ContractCheck("holds what the file of a head holds", head_file.holds, is_needed=True),
    ContractCheck("says what it was published with", head_file.is_declared, is_needed=True),
    ContractCheck("has a set-up that can be read", head_file.can_be_read, is_needed=True),
    ContractCheck("reads its paper as it says", head_file.reads_its_paper),
    ContractCheck(
        "names encoders, states, corpora and protocols that there are", head_file.names_what_there_is
    ),
    ContractCheck("gives C outputs for each utterance, of any L, D and C", _gives_outputs, is_needed=True),
    ContractCheck("is not moved by padding", _is_deaf_to_padding),
    ContractCheck("reads every frame", _minds_every_frame),
    ContractCheck("learns in every parameter", _learns_everywhere),
    ContractCheck("begins as its seed says", _follows_its_seed),
    ContractCheck("is its weights: no state beside them", _is_its_weights),
    ContractCheck("keeps to the shapes of its abilities", _is_able),
)
