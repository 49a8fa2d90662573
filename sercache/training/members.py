"""How large members are, trainings that have nothing to do with each other, and what they all read."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

from sercache.recipe import Recipe
from sercache.training.contract import Member, View, place_of, total_layers, variants_of
from sercache.training.loop import optimiser_of, updates
from sercache.training.memory import peak_meter
from sercache.training.residing import digest, resident
from sercache.training.state import begin, epoch_plan
from sercache.training.streams import own_randomness
from sercache.training.tables import Resident, Tables
from sercache.training.threads import products
from sercache.views import FeatureView, JoinedView, SideBySideView


def size_of(member: Member, recipe: Recipe) -> tuple[float, int]:
    """Products of a forward pass of a batch, at most (see ``products``), and batches of an epoch."""
    lengths = member.train.n_frames
    work = products(member.head, recipe.batch_size, total_layers(member.train), float(lengths.mean()))
    return work, math.ceil(len(member.train) / variants_of(member.train) / recipe.batch_size)


def peak_bytes(member: Member, recipe: Recipe, tables: Tables) -> int:
    """Memory that the update with the longest utterance takes on a CPU beside what is held; 0 if not known.

    A copy of the member makes it.
    """
    taken = peak_meter()
    training = begin(replace(member, head=copy.deepcopy(member.head)), recipe, "cpu", tables)
    _, groups = epoch_plan(training)
    longest = max(groups, key=lambda group: max(training.train.n_frames[rows].max() for rows in group))
    with own_randomness(training.place) as reseed:
        reseed(0)
        for _ in updates(training, [longest], optimiser_of(training.parameters, recipe)):
            pass
    return taken()


def share(members: Sequence[Member], device: str) -> tuple[Tables, list[View]]:
    """What all members read, brought into memory once; it stays while the views that are given do.

    On a CPU folds with statistics of their own would need a table each: those are made when they are trained.
    Elsewhere one table serves all, and what does not fit there is kept here.
    """
    tables, held, place = Tables(), [], place_of(device)
    views = {id(v): v for member in members for v in (member.train, member.dev) if v is not None and len(v)}
    if place.type != "cpu":
        held = [resident(view, place, tables) for view in views.values()]
        views = {id(view): view for view in held if not isinstance(view, Resident)}
    inputs = [each for view in views.values() for each in _inputs(view)]
    for each in inputs:
        each.source.load()
    alike = len({(id(each.source), digest(each)) for each in inputs})
    if place.type == "cpu" and alike == len({id(each.source) for each in inputs}):
        held = [resident(view, place, tables) for view in views.values()]
    return tables, held


def _inputs(view: View) -> list[FeatureView]:
    if isinstance(view, SideBySideView):
        return [found for each in view.inputs for found in _inputs(each)]
    if isinstance(view, JoinedView):
        return list(view.parts)
    return [view] if isinstance(view, FeatureView) else []
