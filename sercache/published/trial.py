"""A paper's trial made whole: the head's published set-up and recipe with what the trial changes of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from sercache import catalog
from sercache.head import declared
from sercache.papers import Trial
from sercache.published.head import glanced, of_variant, published_setup
from sercache.readings import Variant, variants
from sercache.recipe import Recipe, Setup, override


@dataclass(frozen=True)
class TrialPlan:
    """All that decides what a trial gives, but for the corpora and weights themselves."""

    trial: Trial
    module: ModuleType
    setup: Setup
    recipe: Recipe
    start: TrialPlan | None = None
    speaker: TrialPlan | None = None
    look: bool = False
    """Whether it is a coarse look, of one seed and few epochs, and no result."""
    recogniser: str = ""
    """Whose texts an encoder of text reads; empty: the corpus' own transcripts."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Corpora that the training itself needs; those of ``test_on`` are extra."""
        own = [self.setup.dataset, *(also.dataset for also in self.trial.also_train)]
        more = [name for before in (self.start, self.speaker) if before for name in before.datasets]
        return tuple(dict.fromkeys([*own, *more]))

    @property
    def lists(self) -> tuple[str, ...]:
        """Paths of what is read of the lists that the paper's authors publish: folds, and utterances to test on."""
        kind, _, folds = self.setup.protocol.partition(":")
        chosen = (each.path for each in self.trial.selected.values())
        return (*((folds,) if kind == "lists" else ()), *chosen)

    @property
    def tested_on(self) -> tuple[str, ...]:
        """Further corpora that the trained heads are tested on."""
        return tuple(text.partition(":")[0] for text in self.setup.test_on)

    @property
    def content(self) -> dict[str, Any]:
        """As JSON values: equal for trials that train the same heads, whatever these are tested on beside."""
        setup = dict(vars(self.setup))  # plain values: nothing to copy in depth
        setup.pop("test_on")
        if setup["duplicates"] is None:  # trials of before there was a choice keep their digest
            del setup["duplicates"]
        record: dict[str, Any] = {
            "head": self.trial.head,
            "options": dict(self.trial.options),
            "setup": setup,
            "recipe": self.recipe.deciding(),
            "also_train": [dataclasses.asdict(also) for also in self.trial.also_train],
            "start": self.start.content if self.start else None,
            "speaker": self.speaker.content if self.speaker else None,
        }
        if self.look:
            record["look"] = True
        if self.recogniser:
            record["transcripts"] = self.recogniser
        return dict(json.loads(json.dumps(record)))

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits of the content."""
        text = json.dumps(self.content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """What a run folder of it is called."""
        encoder = str(self.setup.encoder).rstrip("/").rpartition("/")[2]
        return f"{self.trial.head}-{encoder}-{self.setup.dataset}-{self.digest}{'-look' if self.look else ''}"


def plan(
    trial: Trial,
    *,
    changes: Sequence[str] = (),
    seeds: int | None = None,
    encoders: Mapping[str, str] | None = None,
    look: bool = False,
    variant: Variant | None = None,
) -> TrialPlan:
    """The trial made whole; ``changes`` are recipe settings ``name=value``, ``seeds`` how many at most.

    ``variant``: of heads that have it, where the trial names none of its own; what the trial says stands above it.

    ``encoders`` are checkpoints that stand for others, by the name of these. A ``look`` has one
    seed and few epochs. Raises UnknownNameError and
    RecipeError for what heads or recipes do not have.
    """
    module = catalog.load("sercache.heads", trial.head)
    instead = encoders or {}
    published = published_setup(module, trial.dataset)
    has_it = variant in variants(declared(module).readings)
    own = of_variant(module, trial.variant or (variant if has_it else None), trial.head)
    trial = dataclasses.replace(trial, options={**own.options, **trial.options})
    setup = dataclasses.replace(published, **{**own.setup, "encoder": trial.encoder, **trial.setup})
    setup = dataclasses.replace(
        setup,
        encoder=instead.get(setup.encoder, setup.encoder),
        beside=tuple(_instead(each, instead) for each in setup.beside),
        seeds=setup.seeds[: 1 if look else seeds],
    )
    recipe = override(dataclasses.replace(module.RECIPE, **{**own.recipe, **trial.recipe}), changes)
    recipe = glanced(recipe) if look else recipe
    before = {"changes": changes, "seeds": seeds, "encoders": encoders, "look": look, "variant": variant}
    return TrialPlan(
        trial,
        module,
        setup,
        recipe,
        plan(trial.start, **before) if trial.start else None,  # type: ignore[arg-type]
        plan(trial.speaker, **before) if trial.speaker else None,  # type: ignore[arg-type]
        look,
        instead.get(trial.transcripts, trial.transcripts),
    )


def _instead(text: str, instead: Mapping[str, str]) -> str:
    """An entry of ``beside`` with its encoder replaced."""
    encoder, colon, rest = text.partition(":")
    return instead.get(encoder, encoder) + colon + rest
