"""What finished runs read, and which stores of the cache can give it to them once more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sercache.report import runs
from sercache.stores import FeatureSpec


@dataclass(frozen=True)
class RunNeeds:
    """A finished run and what it read."""

    folder: Path
    inputs: tuple[FeatureSpec, ...]
    """Of the corpus that it was trained on: no more of states and kinds than the heads read."""
    others: tuple[FeatureSpec, ...] = ()
    """Of the corpora that it was tested on."""
    started_from: tuple[str, ...] = ()
    """Names of the runs that gave its initial weights."""


def runs_in(folder: Path) -> list[RunNeeds]:
    """The runs in a folder and in folders of runs below, sweeps' and papers'; what cannot be read is passed over."""
    found = []
    for deep in ("", "*/", "*/*/"):
        for path in sorted(folder.glob(f"{deep}[!.]*/{runs.REPORT}")):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                tested = [each["features"] for each in record.get("elsewhere", ())]
                others = tuple(spec for each in tested for spec in _specs(each))
                before = tuple(str(each["run"]) for each in record.get("started_from", ()))
                found.append(RunNeeds(path.parent, tuple(_specs(record["features"])), others, before))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
    return found


def _specs(features: Mapping[str, Any]) -> Iterator[FeatureSpec]:
    for each in (features, *features.get("beside", ())):
        spec = FeatureSpec.from_json(each["spec"])
        yield replace(spec, states=tuple(each["states"]), frames=each["kind"] == "frames")


def is_served(need: FeatureSpec, by: Iterable[FeatureSpec]) -> bool:
    """Whether one of several stores holds what a run read."""
    return any(
        (need.corpus, need.release, need.transcripts) == (spec.corpus, spec.release, spec.transcripts)
        and need.is_held_by(spec)
        for spec in by
    )
