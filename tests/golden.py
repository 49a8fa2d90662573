"""Golden numbers: what small trainings of every head, loss, optimiser and order of batches come to.

``golden_numbers.json`` holds them; ``test_golden.py`` asks for them on every processor. They are what makes it
impossible to change the numbers of trainings and forget to say so: finished trainings are taken for those of this code
as long as ``sercache.record.TRAINING`` (or ``VERSION`` of a head's file) is the same.

    make golden         writes the numbers of what is new, and of what such a version was raised for; refuses others

Trained in float64, so that processors differ by rounding alone. Adam's ``eps`` is 1e-4 here: it bounds what Adam makes
of a gradient that is only rounding, and ``tolerances.adam`` says to what (1.1e-8 of what a weight could move). A
constant that is off by a thousandth moves some number by more than a thousand times as much.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from array_view import ArrayView, SideBySide, random_inputs, random_view
from tolerances import adam
from torch import Tensor, nn

from sercache import catalog
from sercache.evaluation.solving import solve
from sercache.head import is_solved
from sercache.heads import mlp, weighted_dense
from sercache.nn import masked_mean
from sercache.recipe import Recipe
from sercache.record import TRAINING
from sercache.training import Fit, build, fit

Trained = tuple[Fit, Tensor]
"""What became of a training, and the outputs (U, C) of the head."""

FILE = Path(__file__).with_name("golden_numbers.json")
Numbers = dict[str, list[float]]
"""By what they tell, in groups of one size each."""

EPS, SOLVED = 1e-4, 1e-6
"""Adam's addend; what a solver leaves of its way to the end, relative to the weights."""
_RECURRENT = {"hidden": 6, "heads": 2, "head_dim": 4}
SMALL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("rnn", "wf-rnn", "ef-rnn", "lf-rnn", "cta-rnn", "pair-rnn"), _RECURRENT),
    "cta": {"heads": 2, "head_dim": 4},
    "weighted-lstm": {"hidden": 8},
    "cnn-lstm": {"width": 16, "hidden": 32, "max_frames": 12},
    "cnn-lstm-attention": {"width": 16, "hidden": 32, "max_frames": 12},
}
"""Options of heads whose published sizes would only cost time here."""
_SAME_SIZE = ("speaker-specific",)
_SEED = {"cnn-lstm": 4, "cnn-lstm-attention": 4}
"""Where the last ReLU is alive: half of all seeds begin with a network that says 0 to everything."""

LOSSES = ("cross-entropy", "focal", "arcface", "mse", "ccc")
OPTIMISERS = ("adam", "adamw", "sgd")
ORDERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bucket": {"bucket": 2},
    "accumulate": {"accumulate": 2},
    "undersample": {"balance": "undersample"},
    "class-weights": {"balance": "class-weights"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "weight decay, adam": {"weight_decay": 0.1},
    "weight decay, adamw": {"optimiser": "adamw", "weight_decay": 0.1},
    "betas": {"beta1": 0.5, "beta2": 0.9},
    "no momentum": {"optimiser": "sgd", "beta1": 0.0},
    "cosine": {"schedule": "cosine"},
    "exponential": {"schedule": "exponential", "decay": 0.5},
    "halve-on-plateau": {"schedule": "halve-on-plateau", "plateau_patience": 0, "lr": 0.5, "max_epochs": 6},
    "triangle": {"schedule": "triangle", "max_epochs": 5},
    "label smoothing": {"label_smoothing": 0.1},
    "focal gamma": {"loss": "focal", "focal_gamma": 1.5},
    "arcface margin": {"loss": "arcface", "arc_scale": 8.0, "arc_margin": 0.5},
    "clip norm": {"clip_norm": 0.01},
    "clip value": {"clip_value": 0.001},
    "best dev loss": {"select": "dev-loss", "lr": 0.3, "patience": 2, "max_epochs": 8},
    "best dev UA": {"select": "dev-ua", "patience": 2, "max_epochs": 8, "patience_from": 3},
    "best dev WA, stop on loss": {"select": "dev-wa", "stop_on": "dev-loss", "patience": 1, "max_epochs": 8},
    "best dev rho": {"loss": "mse", "select": "dev-rho", "max_epochs": 4},
    "best dev CCC": {"loss": "ccc", "select": "dev-ccc", "max_epochs": 4},
}
_QUICK = Recipe(lr=1e-2, batch_size=4, max_epochs=2, select="last-epoch", eps=EPS)


@dataclass(frozen=True)
class Case:
    """One small training."""

    compute: Callable[[], Trained]
    tolerance: float
    """Of a number, relative to the size of those beside it."""
    version: str = ""
    """``VERSION`` of the head's file."""


class Cosines(nn.Module):
    """What ``arcface`` trains: cosines between means and a vector for each class."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(n_outputs, dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        unit = nn.functional.normalize
        return unit(masked_mean(x, mask).mean(1), dim=-1) @ unit(self.centres, dim=-1).T


class Both(nn.Module):
    """Outputs for two targets."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(dim, n_outputs), nn.Linear(dim, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Any:
        mean = masked_mean(x, mask)[:, 0]
        return (self.first(mean), self.second(mean)) if self.training else self.first(mean)


def cases() -> dict[str, Case]:
    """Every training by its name."""
    found = {f"head: {key}": case for name in catalog.names("sercache.heads") for key, case in _of_head(name)}
    for loss, optimiser, (order, change) in product(LOSSES, OPTIMISERS, ORDERS.items()):
        if loss in ("mse", "ccc") and "balance" in change:
            continue  # refused: numbers have no classes to even out
        recipe = replace(_QUICK, loss=loss, optimiser=optimiser, **change)
        found[f"recipe: {loss}, {optimiser}, {order}"] = _case(functools.partial(_of_recipe, recipe))
    for name, change in OTHERS.items():
        found[f"recipe: {name}"] = _case(functools.partial(_of_recipe, replace(_QUICK, **change)))
    found["recipe: second target"] = _case(_of_two_targets)
    found["recipe: sequences, accumulated"] = _case(_of_sequences)
    return found


def _case(compute: Callable[[], Trained], version: str = "") -> Case:
    return Case(compute, adam(_QUICK), version)


def numbers(case: Case) -> Numbers:
    """What a training comes to: losses and rates by epoch, and projections of weights and of what they give."""
    with _in_float64():
        done, outputs = case.compute()
        found = {
            "decided": [float(done.best_epoch), float(done.n_updates), float(len(done.history))],
            "weights": _projections(
                torch.cat([v.flatten() for _, v in sorted(done.head.state_dict().items())])
            ),
            "outputs": _projections(outputs.flatten()),
        }
    if done.history:
        found["train losses"] = [epoch.train_loss for epoch in done.history]
        found["rates"] = [epoch.lr for epoch in done.history]
    return found


def difference(found: Numbers, expected: Numbers, tolerance: float) -> str | None:
    """Where numbers differ by more than rounding; None where they do not."""
    sizes = [{name: len(values) for name, values in each.items()} for each in (found, expected)]
    if sizes[0] != sizes[1]:
        return f"there are {sizes[0]}, expected {sizes[1]}"
    for name, values in found.items():
        wanted = np.array(expected[name])
        apart, size = np.abs(np.array(values) - wanted), np.sqrt((wanted**2).mean())
        if not (apart <= tolerance * size).all():
            k = int(np.nanargmax(apart / size)) if size else 0
            return (
                f"{name}[{k}] is {values[k]!r}, expected {expected[name][k]!r} within {tolerance * size:.1g}"
            )
    return None


def read() -> dict[str, Any]:
    """The file: ``training``, and by name of a case ``version`` and ``numbers``."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"training": TRAINING, "cases": {}}


def write() -> int:
    """Bring the file up to date. 1 where numbers changed that no version was raised for."""
    before, forgotten = read(), []
    after: dict[str, Any] = {"training": TRAINING, "cases": {}}
    for name, case in cases().items():
        known, found = before["cases"].get(name), numbers(case)
        change = difference(found, known["numbers"], case.tolerance) if known else "new"
        if change is None:
            found = known["numbers"]  # its last digits are those of the machine that wrote it
        elif known and (before["training"], known["version"]) == (TRAINING, case.version):
            forgotten.append(f"{name}: {change}")
        after["cases"][name] = {"version": case.version, "numbers": found}
    if forgotten:
        print(*forgotten, REMEDY, sep="\n")
        return 1
    lines = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in after["cases"].items()]
    FILE.write_text(f'{{"training": {TRAINING}, "cases": {{\n' + ",\n".join(lines) + "\n}}\n")
    return 0


REMEDY = (
    "these numbers changed: if that is meant, raise TRAINING in sercache/record/ (or VERSION in the file of the "
    "head, where one head alone changed) and run `make golden` to write the new golden numbers"
)


def _of_head(name: str) -> Iterator[tuple[str, Case]]:
    """A head as published, and with each of its options that is on or off the other way."""
    module = catalog.load("sercache.heads", name)
    version = getattr(module, "VERSION", "")
    own = SMALL.get(name, {})
    switches = [
        {key: not option.default}
        for key, option in inspect.signature(module.Head).parameters.items()
        if isinstance(option.default, bool)
    ]
    for change in ({}, *switches):
        label = ", ".join([name, *(f"{key}={value}" for key, value in change.items())])
        if is_solved(module.Head):
            yield label, Case(functools.partial(_solved, name, {**own, **change}), SOLVED, version)
        else:
            yield label, _case(functools.partial(_of_published, name, {**own, **change}), version)


def _of_published(name: str, options: dict[str, Any]) -> Trained:
    module = catalog.load("sercache.heads", name)
    recipe = replace(
        module.RECIPE, lr=1e-2, eps=EPS, batch_size=3, max_epochs=2, select="last-epoch", patience=None
    )
    if options.get("arcface", True) is False:
        recipe = replace(recipe, loss="cross-entropy")
    train, dev = (_view(name, n, recipe.loss in ("mse", "ccc"), seed) for n, seed in ((14, 0), (6, 1)))
    return _trained(module.Head, train, dev, recipe, options, _SEED.get(name, 5))


def _view(name: str, n_items: int, numeric: bool, seed: int) -> ArrayView | SideBySide:
    """What a head reads: as many inputs as it declares, one state where it reads one."""
    module = catalog.load("sercache.heads", name)
    n_inputs = getattr(module, "INPUTS", 1)
    layers = 1 if getattr(module, "ONE_STATE", False) else 3
    sizes = [16 if name in _SAME_SIZE else 16 - 4 * k for k in range(n_inputs)]
    return random_inputs(n_items, (layers,) * n_inputs, tuple(sizes), (3, 9), 4 if numeric else 0, seed)


def _solved(name: str, options: dict[str, Any]) -> Trained:
    view = random_view(24, 2, 6, signal=0.3)
    for item in view.items:
        item[..., 0] = 100 + item[..., 0] / 1000  # varies little, which is not never
    done = solve(build(catalog.load("sercache.heads", name).Head, view, 4, 0, **options), view, 3)
    return done, _outputs(done, view)


def _of_recipe(recipe: Recipe) -> Trained:
    head = Cosines if recipe.loss == "arcface" else mlp.Head
    options = {} if head is Cosines else {"hidden": 6}
    views = [_uneven(n, recipe.loss in ("mse", "ccc"), seed) for n, seed in ((19, 0), (8, 1))]
    return _trained(head, views[0], views[1], recipe, options)


def _uneven(n_items: int, numeric: bool, seed: int) -> ArrayView:
    """Sequences of classes of unequal size, or of numbers."""
    view = random_view(n_items, 2, 8, frames=(1, 7), signal=0.5, seed=seed)
    if numeric:
        return replace(
            view, targets=np.random.default_rng(seed).uniform(0.1, 1, (n_items, 4)).astype(np.float32)
        )
    return replace(view, labels=np.minimum(view.labels, np.arange(n_items) // 4))


def _of_two_targets() -> Trained:
    view = random_view(13, 1, 8, signal=0.5)
    second = np.arange(len(view)) % 3 - 1  # every third has none
    done = fit(build(Both, view, 4, 5), view, None, replace(_QUICK, second_weight=0.3), seed=5, second=second)
    return done, _outputs(done, view)


def _of_sequences() -> Trained:
    recipe = replace(_QUICK, accumulate=3, bucket=2, clip_norm=0.05)
    return _trained(weighted_dense.Head, _uneven(19, False, 0), None, recipe, {"hidden": 6})


def _trained(
    head: type[nn.Module], train: Any, dev: Any, recipe: Recipe, options: dict[str, Any], seed: int = 5
) -> Trained:
    done = fit(build(head, train, 4, seed, **options), train, dev, recipe, seed=seed)
    return done, _outputs(done, train)


@torch.no_grad()
def _outputs(done: Fit, view: Any) -> Tensor:
    """Of every item: ``predict`` would round them to float32."""
    outputs: Tensor = done.head(*view.batch(np.arange(len(view))))
    return outputs


def _projections(values: Tensor) -> list[float]:
    """The RMS of values (N,), and their means after three fixed patterns of weights."""
    places = torch.arange(1.0, len(values) + 1)
    patterns = [torch.cos(k * places) for k in (1.0, 2.0**0.5, 3.0**0.5)]
    mean_of = [float((values * pattern).sum() / len(values) ** 0.5) for pattern in patterns]
    return [float(values.square().mean().sqrt()), *mean_of]


@contextmanager
def _in_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    sys.exit(write())
