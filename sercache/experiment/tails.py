"""Encoder blocks that are trained together with a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from sercache import clips, encoders
from sercache.errors import RecipeError, StoreError
from sercache.experiment.finding import is_same
from sercache.recipe import Setup, inputs
from sercache.states import select
from sercache.stores import FeatureSpec
from sercache.training import Adapting, finetuned, reads_padding


def head_class(
    module: ModuleType, setup: Setup, specs: Sequence[FeatureSpec], recipe: Mapping[str, Any]
) -> Any:
    """The head, on top of encoder blocks that are trained with it where the set-up asks for that.

    ``specs`` are those of the store of each input; ``recipe`` has the fields of a Recipe.
    Raises EncoderError, UnknownNameError, StoreError where the weights are not those of the cache, RecipeError where
    the recipe is for blocks that are trained and none are.
    """
    how = Adapting.of(recipe)
    if not any(setup.boundaries):
        if how.rank is not None or how.layer_drop:
            raise RecipeError(
                "lora_rank and layer_drop are for an encoder that is trained, and this one stays frozen; name a cached "
                "state with --finetune-from, or --set lora-rank=none --set layer-drop=0"
            )
        return module.Head
    own = inputs(setup)
    tails = [load_tail(each, spec) for each, spec in zip(own, specs, strict=True)]
    return finetuned(module.Head, tails, [each.frames for each in own], how)


def load_tail(setup: Setup, spec: FeatureSpec) -> Any:
    """The blocks of one input's encoder that are trained, None where it stays frozen. Raises as head_class."""
    if setup.finetune_from is None:
        return None
    encoder, revision = str(setup.encoder), spec.identity.get("revision")
    if not is_same(encoder, revision, spec.identity):
        raise StoreError(
            f"{encoder} has other weights or settings than those that made {spec.shown}; name the checkpoint "
            "that was extracted with --encoder or --beside"
        )
    states = select(spec.encoder_states or spec.states, setup.states)
    tail = encoders.load_tail(encoder, setup.finetune_from, states, revision=revision)
    _check_padding(encoder, tail, spec)
    return tail


def _check_padding(name: str, tail: Any, spec: FeatureSpec) -> None:
    """Raise StoreError where a cache lacks the padding that blocks attend to."""
    if not reads_padding(tail) or clips.parse(spec.clip).whole:
        return
    rule = "whole" if spec.clip == "none" else f"{spec.clip}+whole"
    raise StoreError(
        f"the blocks of {name} attend to the silence that fills its window, which {spec.shown} does not hold; extract "
        f"with --clip {rule}, and train with it"
    )
