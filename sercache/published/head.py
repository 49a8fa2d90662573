"""What the file of a head says: its published set-up, recipe and options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, get_args, get_type_hints

from sercache import advice, catalog
from sercache.chosen import Which
from sercache.errors import RecipeError, SettingsError
from sercache.head import declared, options_of
from sercache.readings import NO_CODE, OPTION, Variant, changes, variants
from sercache.recipe import Published, Recipe, Setup, read_value


def published_setup(module: ModuleType, dataset: str) -> Setup:
    """What the head was published with on this corpus, else its main set-up moved there."""
    found = declared(module).setups.get(dataset, module.SETUP)
    return found if found.dataset == dataset else dataclasses.replace(found, dataset=dataset, task=None)


def published_of(
    module: ModuleType,
    setup: Setup,
    recipe: Recipe | None = None,
    options: Mapping[str, Any] | None = None,
) -> Published | None:
    """What a head's paper did, by default with the head's own recipe and options; None for a head without a paper."""
    about = declared(module)
    if about.baseline:
        return None
    return Published(
        setup,
        recipe or module.RECIPE,
        {**head_defaults(module), **(options or {})},
        about.open,
        about.updates,
        changes(about.readings, "paper"),
        changes(about.readings, "code"),
    )


@dataclass(frozen=True)
class OfVariant:
    """What a variant of a head changes of its set-up, recipe and options."""

    setup: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """In a line: ``lr 0.001, option variant=paper``."""
        plain = {**self.setup, **self.recipe}
        told = [f"{name.replace('_', ' ')} {value}" for name, value in plain.items()]
        return ", ".join([*told, *(f"option {name}={value}" for name, value in self.options.items())])


def of_variant(module: ModuleType, variant: Variant | None, head: str) -> OfVariant:
    """All that makes a head as its paper's text says, or as the authors' code does; nothing for None.

    Raises SettingsError for a variant that the head does not have.
    """
    if variant is None:
        return OfVariant()
    about = declared(module)
    if variant not in variants(about.readings):
        why = (
            "it has no paper" if about.baseline
            else NO_CODE if variant == "code" and not about.code
            else "text and code of its paper differ in nothing that can be chosen"
        )  # fmt: skip
        raise SettingsError(
            f"{head} has no variant {variant}: {why}; leave --variant out; "
            f"{advice.command('heads', head)} shows what differs"
        )
    found = changes(about.readings, variant)
    recipe = {each.name for each in dataclasses.fields(Recipe)}
    own = {name: value for name, value in found.items() if not name.startswith(OPTION)}
    return OfVariant(
        {name: value for name, value in own.items() if name not in recipe},
        {name: value for name, value in own.items() if name in recipe},
        {name.removeprefix(OPTION): value for name, value in found.items() if name.startswith(OPTION)},
    )


def seeds_asked(module: ModuleType, dataset: str, n: Which | None) -> tuple[int, ...]:
    """The ``n`` seeds of a training on this corpus, or those that ``n`` names; None: those of the paper."""
    setup = declared(module).setups.get(dataset, module.SETUP)
    return first_seeds(setup.seeds, n)


def first_seeds(published: tuple[int, ...], n: Which | None) -> tuple[int, ...]:
    """The first ``n`` published seeds, and beyond those whole numbers that are not among them; or those named.

    None: as published.
    """
    if n is None:
        return published
    if not isinstance(n, int):
        return tuple(n)
    spare = (seed for seed in range(n + len(published)) if seed not in published)
    return (*published, *spare)[:n]


LOOK_EPOCHS = 3
"""Of a coarse look, at most."""


def glanced(recipe: Recipe) -> Recipe:
    """The recipe for a coarse look, which is no result."""
    return dataclasses.replace(recipe, max_epochs=min(recipe.max_epochs, LOOK_EPOCHS))


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


@dataclass(frozen=True)
class HeadOption:
    """One option of a head."""

    default: Any
    takes: str
    """Its type, or the values that it may have, in words."""
    meaning: str
    """In a line; empty where the head's file says nothing of it."""


def described_options(module: ModuleType) -> dict[str, HeadOption]:
    """The options of a head by name, in the order of its constructor."""
    hints, meanings = get_type_hints(module.Head.__init__), declared(module).options
    return {
        name: HeadOption(default, _takes(hints.get(name)), meanings.get(name, ""))
        for name, default in head_defaults(module).items()
    }


_TYPES = {int: "whole number", float: "number", bool: "True, False", str: "text", type(None): "none"}


def _takes(hint: Any) -> str:
    members = get_args(hint) or (hint,)
    return ", ".join(each if isinstance(each, str) else _TYPES.get(each, "") for each in members)


def head_defaults(module: ModuleType) -> dict[str, Any]:
    """Options of a head with their defaults: what its constructor takes beyond the shape of its inputs."""
    return options_of(module.Head)
