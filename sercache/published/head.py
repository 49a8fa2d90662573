"""What the file of a head says: its published set-up, recipe and options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, get_args, get_type_hints

from sercache import catalog
from sercache.chosen import Which
from sercache.errors import RecipeError
from sercache.head import declared, options_of
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


def head_defaults(module: ModuleType) -> dict[str, Any]:
    """Options of a head with their defaults: what its constructor takes beyond the shape of its inputs."""
    return options_of(module.Head)
