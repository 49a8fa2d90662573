"""How far two computations of the same numbers may lie apart, derived from how they round.

Processors differ in how many products they add at a time and in whether a product is rounded before it is added,
libraries in the blocks that they cut matrices into: the same formula gives other last digits. So a tolerance is
never read off one machine. It is the unit roundoff, times what the computation makes of it:

    u = 2^-24 (float32) or 2^-53 (float64)
    a sum of n terms rounds by at most LAMBDA sqrt(n) u of the size of its terms, but for one case in 10^13
        (Higham and Mary 2019, theorem 2.4: probability 2 exp(-LAMBDA^2 / 2), LAMBDA = 8), and either side does
    errors of ``depth`` operations one after another add up

Errors are measured against the RMS of the tensor that they are in, as cancellation leaves them the size of what was
added. ``assert_alike`` does that. docs/decisions/0025 says what is assumed, and the price.

**After several updates** float32 says nothing about weights. Adam divides a gradient by its own size: where a gradient
is zero but for rounding (a bias that no softmax feels, a unit that is off), it moves a full learning rate, to the side
that rounding chose. Two machines are then lr x updates apart, and so are two different trainings. float64 tells them
apart, because Adam adds ``eps`` (1e-8) to the size that it divides by, and a rounding of 1e-16 is far below it: a
weight moves by at most ADAM = (error of a gradient) / eps of what it could move, 5e-5 where a gradient is about 1.
Whoever draws other dropout or sees other batches moves it by a good part of all that it could. So trainings are
compared in float64 (``assert_trained_alike``), and in float32 by their losses alone: a weight without a gradient moves
no loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from sercache.recipe import Recipe
from sercache.training import Fit

LAMBDA = 8.0
"""Standard deviations of a rounding error that are allowed for."""
TERMS = 1000
"""Terms of the longest sum in a head of the tests: frames x features of a batch, in the gradient of a weight."""
DEPTH = 20
"""Operations one after another that round, forward and back through a head of the tests."""


def unit(dtype: torch.dtype) -> float:
    """Largest relative error of one rounding to nearest."""
    return torch.finfo(dtype).eps / 2


def rounding(dtype: torch.dtype, *, terms: int = TERMS, depth: int = DEPTH) -> float:
    """How far two computations may differ, relative to the size of what they compute."""
    return 2 * LAMBDA * math.sqrt(terms) * depth * unit(dtype)


def assert_alike(
    found: Tensor,
    expected: Tensor,
    what: str = "",
    *,
    scale: float | None = None,
    terms: int = TERMS,
    depth: int = DEPTH,
) -> None:
    """Two ways of computing a tensor came to the same, but for rounding.

    ``scale`` is the size of what was added where that is not the RMS of the result.
    """
    found, expected = found.detach(), expected.detach()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
    size = float(expected.double().square().mean().sqrt()) if scale is None else scale
    bound = rounding(expected.dtype, terms=terms, depth=depth) * size
    apart = float((found.double() - expected.double()).abs().max()) if expected.numel() else 0.0
    assert apart <= bound, f"{what} {apart:.3g} apart, rounding allows {bound:.3g} at a size of {size:.3g}"


def assert_gradients_alike(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Gradients came to the same, but for rounding: each is a sum whose terms have the size of the largest one."""
    scale = max(float(each.double().square().mean().sqrt()) for each in expected)
    for k, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert_alike(ours, theirs, f"gradient {k}:", scale=scale)


def adam(recipe: Recipe, gradient: float = 1.0) -> float:
    """Part of all that a weight could move by which rounding in float64 may change it; gradients are of this size."""
    return min(1.0, rounding(torch.float64) * gradient / recipe.eps)


def assert_trained_alike(ours: Sequence[Fit], theirs: Sequence[Fit], recipe: Recipe) -> None:
    """Trainings computed in two ways came to the same, but for rounding: weights in float64, losses in any type."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        dtype = next(other.head.parameters()).dtype
        decided = ("best_epoch", "stopped_early", "n_updates")
        assert [getattr(one, name) for name in decided] == [getattr(other, name) for name in decided]
        assert [replace(e, seconds=0, **_VALUES) for e in one.history] == [
            replace(e, seconds=0, **_VALUES) for e in other.history
        ]
        for a, b in zip(one.history, other.history, strict=True):
            _assert_losses_alike(a.train_loss, b.train_loss, b.number * other.n_updates, dtype)
            if b.dev_loss is not None:  # of outputs in float32, whatever trained
                assert a.dev_loss is not None
                _assert_losses_alike(a.dev_loss, b.dev_loss, b.number * other.n_updates, torch.float32)
        if dtype != torch.float64:
            continue
        moved = sum(epoch.lr for epoch in other.history) * other.n_updates / len(other.history)
        assert_weights_alike(one.head, other.head, recipe, moved)


def assert_weights_alike(one: nn.Module, other: nn.Module, recipe: Recipe, moved: float) -> None:
    """Weights in float64 came to the same, but for rounding; updates may have ``moved`` each by so much in all."""
    own, expected = one.state_dict(), other.state_dict()
    assert own.keys() == expected.keys()
    for name, value in expected.items():
        assert value.dtype == torch.float64
        apart = float((own[name] - value).abs().max())
        bound = adam(recipe) * moved + rounding(torch.float64) * float(value.abs().max())
        assert apart <= bound, (
            f"{name}: {apart:.3g} apart after moving up to {moved:.3g}, allowed {bound:.3g}"
        )


_VALUES: dict[str, float | None] = {"train_loss": 0.0, "dev_loss": None}
"""Of an epoch, what may differ by rounding."""


def _assert_losses_alike(one: float, other: float, n_updates: int, dtype: torch.dtype) -> None:
    """A loss is the mean of up to a hundred items, of weights that each update left a rounding apart."""
    bound = rounding(dtype, terms=100 * max(1, n_updates)) * max(1.0, abs(other))
    assert abs(one - other) <= bound, f"losses {one} and {other}, allowed {bound:.3g}"
