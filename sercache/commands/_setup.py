"""What a training is to do: the options of a call over a head's published set-up."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

from sercache import catalog
from sercache.datasets import Corpus
from sercache.errors import RecipeError, SettingsError
from sercache.protocols import ALL, RANDOM
from sercache.recipe import Published, Recipe, Setup, inputs, read_value


@dataclass(frozen=True)
class Request:
    """The options of one call; None means as published."""

    head: str
    encoder: str | None = None
    dataset: str | None = None
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    runs: Path | None = None
    store: Path | None = None
    task: str | None = None
    protocol: str | None = None
    dev: str | None = None
    states: str | None = None
    clip: str | None = None
    frames: bool | None = None
    normalise: str | None = None
    duplicates: str | None = None
    max_frames: int | None = None
    seeds: int | None = None
    beside: Sequence[str] | None = None
    target: str | None = None
    test_on: Sequence[str] | None = None
    finetune_from: str | None = None
    """One state, or one for each input with commas between; ``none``: leave all encoders frozen."""
    start_from: Sequence[str] = ()
    settings: Sequence[str] = ()
    head_options: Sequence[str] = ()
    name: str | None = None
    serial: bool = False
    share_order: bool = False
    deterministic: bool = False
    track: bool = False


def chosen_setup(module: ModuleType, request: Request, corpus: Corpus) -> tuple[Setup, Setup]:
    """What to do, and what the paper did: on this corpus where it used it, else on its own.

    On a corpus that the head was not published with, the corpus' own task and protocol take the place of
    those of the paper.
    """
    setup = published = module.SETUP
    if corpus.name != setup.dataset:
        on_this = getattr(module, "SETUPS", {}).get(corpus.name)
        published = on_this or published
        protocol = corpus.info.default_protocol
        setup = on_this or dataclasses.replace(
            setup, dataset=corpus.name, task=None, protocol=protocol, dev=_dev(setup, protocol)
        )
    names = {field.name for field in dataclasses.fields(Setup)} - {"seeds", "dataset"}
    changes = {name: value for name in names if (value := getattr(request, name)) not in (None, ())}
    if request.test_on:
        names_there = [name.strip() for text in request.test_on for name in text.split(",")]
        changes["test_on"] = tuple(name for name in names_there if name)
    if request.protocol == ALL and request.dev is None and setup.dev not in ("none", *RANDOM):
        changes["dev"] = "random20"  # there is no next session when all of them train
    if request.finetune_from == "none":
        changes["finetune_from"] = None
    elif request.finetune_from is not None and request.normalise is None:
        changes["normalise"] = (
            "none"  # blocks are trained on what was cached; a head's own default is for frozen ones
        )
    if request.seeds is not None:
        changes["seeds"] = _seeds(setup.seeds, request.seeds)
    return dataclasses.replace(setup, **changes), published


def _dev(setup: Setup, protocol: str) -> str:
    """A dev rule for another protocol: none stays none, official parts bring their own."""
    return "none" if setup.dev == "none" or protocol.startswith("fixed:") else "next"


def published_of(
    module: ModuleType,
    setup: Setup,
    recipe: Recipe | None = None,
    options: Mapping[str, Any] | None = None,
) -> Published | None:
    """What a head's paper did, by default with the head's own recipe and options; None for a head without a paper."""
    if getattr(module, "BASELINE", False):
        return None
    return Published(
        setup,
        recipe or module.RECIPE,
        {**head_defaults(module), **(options or {})},
        getattr(module, "OPEN", ()),
        getattr(module, "UPDATES", None),
    )


def seeds_asked(module: ModuleType, dataset: str, n: int | None) -> tuple[int, ...]:
    """The ``n`` seeds of a training on this corpus; None: those of the paper."""
    setup: Setup = getattr(module, "SETUPS", {}).get(dataset, module.SETUP)
    return setup.seeds if n is None else _seeds(setup.seeds, n)


def _seeds(published: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The first ``n`` published seeds, and beyond those whole numbers that are not among them."""
    spare = (seed for seed in range(n + len(published)) if seed not in published)
    return (*published, *spare)[:n]


def head_options(module: ModuleType, pairs: Sequence[str]) -> dict[str, Any]:
    """Options of a head written ``name=value``, read as the types of its constructor.

    Raises RecipeError for an option that the head does not have or a value that does not fit.
    """
    hints = get_type_hints(module.Head.__init__)
    on_offer = sorted(head_defaults(module))
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.replace("-", "_")
        if not equals or name not in on_offer:
            raise RecipeError(catalog.unknown("head option (name=value)", pair, on_offer))
        options[name] = read_value(name, text, hints[name])
        allowed = get_args(hints[name])
        if allowed and all(isinstance(each, str) for each in allowed) and options[name] not in allowed:
            raise RecipeError(catalog.unknown(f"value of head option {name}", text, list(allowed)))
    return options


def head_defaults(module: ModuleType) -> dict[str, Any]:
    """Options of a head with their defaults: what its constructor takes beyond the shape of its inputs."""
    parameters = inspect.signature(module.Head).parameters.values()
    shape = ("n_layers", "dim", "n_outputs")
    return {each.name: each.default for each in parameters if each.name not in shape}


def check_inputs(module: ModuleType, head: str, setup: Setup) -> None:
    """Raises SettingsError where the head reads more or fewer inputs than the set-up has."""
    needed, given = getattr(module, "INPUTS", 1), len(inputs(setup))
    if needed != given:
        raise SettingsError(
            f"{head} reads {needed} inputs and has {given}: give --beside ENCODER[:STATES[:pooled|frames]] "
            f"{needed - 1} times"
        )
