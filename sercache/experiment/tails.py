"""Encoder blocks that are trained together with a head."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from sercache import encoders
from sercache.errors import StoreError
from sercache.experiment.finding import is_same
from sercache.recipe import Setup, inputs
from sercache.states import select
from sercache.stores import FeatureSpec
from sercache.training import finetuned


def head_class(module: ModuleType, setup: Setup, specs: Sequence[FeatureSpec]) -> Any:
    """The head, on top of encoder blocks that are trained with it where the set-up asks for that.

    ``specs`` are those of the store of each input.
    Raises EncoderError, UnknownNameError, StoreError where the weights are not those of the cache.
    """
    if not any(setup.boundaries):
        return module.Head
    own = inputs(setup)
    tails = [load_tail(each, spec) for each, spec in zip(own, specs, strict=True)]
    return finetuned(module.Head, tails, [each.frames for each in own])


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
    return encoders.load_tail(encoder, setup.finetune_from, states, revision=revision)
