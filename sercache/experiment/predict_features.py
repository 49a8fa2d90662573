"""Features of recordings that are predicted: a store for each input, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sercache import clips, extraction, stores
from sercache.datasets import Skipped, Utterance
from sercache.errors import AudioError
from sercache.experiment.ensemble import Ensemble
from sercache.experiment.filling import carry_out, plan_for
from sercache.stores import FeatureSpec, FeatureStore
from sercache.views import stored_entries


def features_of(
    members: Ensemble, utterances: Sequence[Utterance], folder: Path
) -> tuple[list[FeatureStore], dict[str, str]]:
    """A store for each input, and by id why a recording has no features in one of them."""
    held, faults = [], dict[str, str]()
    for k, (encoder, spec) in enumerate(zip(members.encoders, members.specs, strict=True)):
        left = [u for u in utterances if u.id not in faults]
        if not left:
            break
        place = stores.store_path(folder / str(k), spec, "zarr")
        try:
            plan = plan_for(encoder, left, spec, place)
        except AudioError as fault:  # none of them can be used
            if len(left) > 1:
                faults |= _each_alone(members, left, folder)
            else:
                faults[left[0].id] = str(fault).rpartition(f"first: {left[0].id}: ")[2]
            continue
        done = carry_out(plan, encoder, stores.create(place, spec, "zarr"), "zarr")
        store = stores.open(place)
        there, reasons = stored_entries(store), _reasons(done.skipped, spec)
        extraction.record_skips(place, done.skipped)
        for u in left:
            if u.id not in there:
                faults[u.id] = reasons.get(u.id, "has no features")
        held.append(store)
    return held, faults


def _reasons(skipped: Sequence[Skipped], spec: FeatureSpec) -> dict[str, str]:
    """By recording, also of one whose pieces were left out."""
    rule = clips.parse(spec.clip)
    pieces = {clips.utterance_id(each.what, rule): each.reason for each in skipped}
    return pieces | {each.what: each.reason for each in skipped}


def _each_alone(members: Ensemble, utterances: Sequence[Utterance], folder: Path) -> dict[str, str]:
    """Why each of some recordings cannot be used, where none of them can."""
    found: dict[str, str] = {}
    for number, u in enumerate(utterances):
        found |= features_of(members, [u], folder / f"alone-{number}")[1]
    return found
