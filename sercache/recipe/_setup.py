"""What a head was published with: the features it reads, and how it was judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sercache.catalog import unknown
from sercache.errors import RecipeError
from sercache.recipe._recipe import Recipe, hints_of


@dataclass(frozen=True)
class Setup:
    """What a head was published with: the features it reads and how it was judged.

    Every field is the default of a command-line option and is written into the run. ``states`` is a
    state selection as in ``--states``: ``blocks``, ``projection+blocks``, ``final``, ``1-12``, ``all``.
    """

    encoder: str
    dataset: str
    protocol: str
    states: str
    frames: bool
    """True: the head reads full sequences; False: means over time."""
    task: str | None = None
    """Label map of the corpus; None: the corpus' own default."""
    clip: str = "none"
    """How long recordings are cut before encoding: ``none``, ``trim:15``, ``split:5`` (seconds)."""
    normalise: Literal["none", "global", "speaker"] = "none"
    max_frames: int | None = None
    dev: str = "none"
    """Where the dev part of a fold comes from (see sercache.protocols)."""
    seeds: tuple[int, ...] = (0,)
    beside: tuple[str, ...] = ()
    """Further encoders that a head with several inputs reads: ``ENCODER[:STATES[:pooled|frames]]`` each."""
    target: str | None = None
    """Of a task that gives numbers, the one to train; None: all at once."""
    test_on: tuple[str, ...] = ()
    """Other corpora that every trained head is tested on too: ``DATASET[:TASK]`` each."""
    finetune_from: str | None = None
    """State from which the encoder's blocks are trained with the head; None: the encoder stays frozen. Of
    several inputs one state each, in their order, with commas between: ``conv,conv``, ``-`` for a frozen one."""
    duplicates: Literal["keep", "apart"] | None = None
    """Utterances with equal audio: ``apart``, none is trained on that equals one of the dev or test part, and none of
    another corpus is tested on that was trained on; ``keep``, all are used and counted. None is ``keep`` within a
    corpus, and refuses to test on another corpus that shares recordings with what is trained on."""

    def __post_init__(self) -> None:
        hints = hints_of(Setup)
        scopes = list(get_args(hints["normalise"]))
        if self.normalise not in scopes:
            raise RecipeError(unknown("normalise", str(self.normalise), scopes))
        ways = get_args(get_args(hints["duplicates"])[0])
        if self.duplicates not in (None, *ways):
            raise RecipeError(unknown("duplicates", str(self.duplicates), ways))
        n_named, n_inputs = len(_listed(self.finetune_from)), 1 + len(self.beside)
        if "" in _listed(self.finetune_from) or n_named > n_inputs:
            several = (
                f"a state for each of {n_inputs} inputs, with commas between"
                if n_inputs > 1
                else "one state, as there is one input"
            )
            raise RecipeError(
                f"finetune-from names {several}, or - for a frozen encoder; got {self.finetune_from!r}"
            )
        if any(self.boundaries) and self.normalise != "none":
            raise RecipeError(
                f"the encoder is trained from state {self.finetune_from} as it was cached, got "
                f"normalise={self.normalise}; set normalise=none, or leave the encoder frozen"
            )

    @property
    def boundaries(self) -> tuple[str | None, ...]:
        """State from which the encoder of each input is trained; None for one that stays frozen."""
        named = [None if state == "-" else state for state in _listed(self.finetune_from)]
        return (*named, *[None] * (1 + len(self.beside) - len(named)))

    @property
    def cached_states(self) -> str:
        """Selection of the states of the first input that are read from the cache."""
        return self.boundaries[0] or self.states

    @property
    def cached_frames(self) -> bool:
        """Whether sequences are read from the cache; what is trained above them may still be pooled."""
        return self.frames or self.boundaries[0] is not None


@dataclass(frozen=True)
class Published:
    """What a paper did, and which of it the paper leaves open."""

    setup: Setup
    recipe: Recipe
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the head, those at their defaults included."""
    open: tuple[str, ...] = ()
    """Fields of set-up, recipe and options that the paper does not fix: ``OPEN`` of the head's file."""
    updates: int | None = None
    """About how many updates a training of the paper makes, where that is known: ``UPDATES`` of the head's file."""
    text: Mapping[str, Any] = field(default_factory=dict)
    """Fields, and ``option NAME``, that the paper's text has otherwise than its code: what it says."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """What the authors' code does of them."""


def inputs(setup: Setup) -> tuple[Setup, ...]:
    """What each input of a head reads, as set-ups of one input: the first, then one for each of ``beside``.

    An entry that names no states means all, one that names no kind that of ``setup``. Raises RecipeError.
    """
    found = [dataclasses.replace(setup, beside=(), finetune_from=setup.boundaries[0])]
    for text, boundary in zip(setup.beside, setup.boundaries[1:], strict=True):
        encoder, _, rest = text.partition(":")
        states, _, kind = rest.partition(":")
        if not encoder or kind not in ("", "pooled", "frames"):
            raise RecipeError(
                f"a further input is written ENCODER[:STATES[:pooled|frames]], got {text!r}; "
                "for example egemaps:all:frames"
            )
        frames = setup.frames if not kind else kind == "frames"
        found.append(
            dataclasses.replace(
                setup,
                encoder=encoder,
                states=states or "all",
                frames=frames,
                beside=(),
                finetune_from=boundary,
            )
        )
    return tuple(found)


def _listed(text: str | None) -> list[str]:
    """The entries of a list with commas; none for None."""
    return [] if text is None else [entry.strip() for entry in text.split(",")]
