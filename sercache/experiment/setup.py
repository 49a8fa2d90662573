"""What a training is to do: the options of a call over a head's published set-up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sercache.chosen import check_look, read_seeds
from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.experiment.options import Count, Duplicates, Scope, Seeds
from sercache.head import declared
from sercache.protocols import ALL, RANDOM, brings_dev
from sercache.published import first_seeds, glanced, head_options, of_variant
from sercache.readings import Variant
from sercache.recipe import Recipe, Setup, inputs, override
from sercache.record import counted


@dataclass(frozen=True)
class TrainOptions:
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
    augmented: Sequence[str] = ()
    """What is trained on beside the plain recordings, as sercache.augment writes it; lists by commas are several."""
    frames: bool | None = None
    normalise: Scope | None = None
    duplicates: Duplicates | None = None
    max_frames: Count | None = None
    seeds: Seeds | None = None
    """How many, or which; or which of how many (``0-4/25``), a part of the run."""
    folds: str | None = None
    """A part of the run: names of folds, or their places from 1."""
    beside: Sequence[str] | None = None
    target: str | None = None
    test_on: Sequence[str] | None = None
    finetune_from: str | None = None
    """One state, or one for each input with commas between; ``none``: leave all encoders frozen."""
    start_from: Sequence[str] = ()
    settings: Sequence[str] = ()
    head_options: Sequence[str] = ()
    variant: Variant | None = None
    """Where they differ, all that the paper's text says (``paper``), or all that its authors' code does (``code``)."""
    name: str | None = None
    look: bool = False
    """A coarse look, no result: one seed, few epochs."""
    budget: str | None = None
    """Time for the trainings of this call, as 2h: those of them that fit are done."""
    only_foretold: bool = False
    """Say what it takes and train nothing."""
    serial: bool = False
    share_order: bool = False
    deterministic: bool = False
    track: bool | Sequence[str] = ()
    """Trackers that are told of the run; True: TensorBoard."""
    cluster: str | None = None
    cluster_options: Sequence[str] = ()
    lifetime: str | None = None


def chosen_setup(module: ModuleType, request: TrainOptions, corpus: Corpus) -> tuple[Setup, Setup]:
    """What to do, and what the paper did: on this corpus where it used it, else on its own.

    On a corpus that the head was not published with, the corpus' own task and protocol take the place of
    those of the paper.
    """
    setup = published = module.SETUP
    if corpus.name != setup.dataset:
        on_this = declared(module).setups.get(corpus.name)
        published = on_this or published
        protocol = corpus.info.default_protocol
        setup = on_this or dataclasses.replace(
            setup, dataset=corpus.name, task=None, protocol=protocol, dev=_dev(setup, protocol)
        )
    setup = dataclasses.replace(setup, **of_variant(module, request.variant, request.head).setup)
    names = {field.name for field in dataclasses.fields(Setup)} - {"seeds", "dataset"}
    changes = {name: value for name in names if (value := getattr(request, name)) not in (None, ())}
    if request.test_on:
        names_there = [name.strip() for text in request.test_on for name in text.split(",")]
        changes["test_on"] = tuple(name for name in names_there if name)
    is_fixed = request.protocol is not None and brings_dev(request.protocol)
    if is_fixed and request.dev is None and setup.dev not in RANDOM:
        changes["dev"] = "none"  # a split brings its own dev part, and there is no next speaker to take
    if request.protocol == ALL and request.dev is None and setup.dev not in ("none", *RANDOM):
        changes["dev"] = "random20"  # there is no next session when all of them train
    if request.finetune_from == "none":
        changes["finetune_from"] = None
    elif request.finetune_from is not None and request.normalise is None:
        changes["normalise"] = (
            "none"  # blocks are trained on what was cached; a head's own default is for frozen ones
        )
    check_look(request.look, request.seeds)
    if request.look:
        changes["seeds"] = setup.seeds[:1]
    elif request.seeds is not None:
        changes["seeds"] = first_seeds(setup.seeds, read_seeds(request.seeds).run)
    return dataclasses.replace(setup, **changes), published


def chosen_settings(module: ModuleType, request: TrainOptions) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the options of the head as asked for: the user's, above those of a variant. Raises RecipeError."""
    own = of_variant(module, request.variant, request.head)
    recipe = override(dataclasses.replace(module.RECIPE, **own.recipe), request.settings)
    recipe = glanced(recipe) if request.look else recipe
    return recipe, {**own.options, **head_options(module, request.head_options)}


def _dev(setup: Setup, protocol: str) -> str:
    """A dev rule for another protocol: none stays none, official parts bring their own."""
    return "none" if setup.dev == "none" or brings_dev(protocol) else "next"


def check_inputs(module: ModuleType, head: str, setup: Setup) -> None:
    """Raises SettingsError where the head reads more or fewer inputs than the set-up has."""
    needed, given = declared(module).inputs, len(inputs(setup))
    if given < needed:
        raise SettingsError(
            f"{head} reads {needed} inputs and has {given}: give --beside ENCODER[:STATES[:pooled|frames]] "
            + ("once" if needed == 2 else f"{needed - 1} times")
        )
    if given > needed:
        once = "leave --beside out" if needed == 1 else f"give --beside {needed - 1} times"
        raise SettingsError(f"{head} reads {counted(needed, 'input')} and has {given}: {once}")
