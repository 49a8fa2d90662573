"""What differs between a training and the system that a paper describes, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sercache.recipe import Published, Recipe, Setup, inputs
from sercache.record import Run

_NEAR = (0.8, 1.25)
"""Updates, as a share of the published ones, that are still about as many."""


@dataclass(frozen=True)
class Difference:
    """One thing that was done in another way than published."""

    field: str
    text: str
    is_open: bool = False
    """Whether the paper leaves it open: then it is our choice, and no other system."""

    def __str__(self) -> str:
        return f"{self.text} (open in the paper)" if self.is_open else self.text


def differences(
    published: Published, setup: Setup, recipe: Mapping[str, Any], options: Mapping[str, Any]
) -> list[Difference]:
    """What differs in set-up, recipe and options of the head; nothing of what only older records lack."""
    was = {
        **_of_setup(published.setup),
        **{each.name: getattr(published.recipe, each.name) for each in fields(Recipe)},
        **{f"option {name}": value for name, value in published.options.items()},
    }
    now = {**_of_setup(setup), **recipe, **{f"option {name}": value for name, value in options.items()}}
    found = []
    for name, before in was.items():
        after = now.get(name, before)
        if after == before or (name == "task" and before is None):
            continue
        plain = name.removeprefix("option ")
        shown = f"head option {plain}={_text(after)}" if plain != name else f"{_words(name)} {_text(after)}"
        whose = _whose(published, name, after)
        as_whose = f", as {whose}," if whose else ""
        is_open = bool(whose) or plain in published.open
        found.append(Difference(plain, f"{shown}{as_whose} instead of {_text(before)}", is_open))
    return found


def _whose(published: Published, name: str, value: Any) -> str:
    """Whether a value is what the paper's text says or its code does, where these differ; empty for neither."""
    for whose, said in (("the paper's text", published.text), ("the authors' code", published.code)):
        if name in said and said[name] == value:
            return whose
    return ""


def fewer_updates(published: Published, setup: Setup, runs: Sequence[Run]) -> list[Difference]:
    """Whether a budget that is given in epochs came to another number of updates on another corpus."""
    lengths = [
        (run.n_updates / len(run.history), len(run.history), run.stopped_early) for run in runs if run.history
    ]
    if published.updates is None or not lengths or setup.dataset == published.setup.dataset:
        return []
    epochs = max(length for _, length, _ in lengths)
    if any(stopped for _, _, stopped in lengths):
        epochs = max(epochs, published.recipe.max_epochs)
    n = round(max(pace for pace, _, _ in lengths) * epochs)
    if _NEAR[0] <= n / published.updates <= _NEAR[1]:
        return []
    return [Difference("updates", f"updates: {n:,} of the published about {published.updates:,}")]


def written_out(setup: Setup) -> tuple[str, ...]:
    """The further inputs with their states and kind."""
    more = inputs(setup)[1:]
    return tuple(f"{own.encoder}:{own.states}:{'frames' if own.frames else 'pooled'}" for own in more)


def _of_setup(setup: Setup) -> dict[str, Any]:
    """Fields of a set-up, but for what changes nothing of what is trained and tested at home."""
    setup = replace(setup, beside=written_out(setup))
    return {each.name: getattr(setup, each.name) for each in fields(Setup) if each.name != "test_on"}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
