"""What else tells compared runs apart than their heads: what they were trained on, and what they were tested on."""

from __future__ import annotations

from collections.abc import Sequence

from sercache.augment import said
from sercache.record import FoldRecord, Report
from sercache.report.notes import leak_notes, of_rows
from sercache.statistics import System
from sercache.stores import FeatureSpec


def notes(systems: Sequence[System], reports: Sequence[Report]) -> list[str]:
    """A line for each of these that differs between the runs, and what their encoders know of what they test."""
    parts = [[_trained_on(fold) for fold in report.folds] for report in reports]
    others = [system.name for system, own in zip(systems[1:], parts[1:], strict=True) if own != parts[0]]
    found = []
    if others:
        devs = [f"{s.name}: dev {r.setup['dev']}" for s, r in zip(systems, reports, strict=True)]
        found.append(
            f"training or dev parts of {', '.join(others)} differ from those of {systems[0].name} ({', '.join(devs)})"
        )
    found += _unequal(
        systems,
        [", ".join(about["name"] for about in report.also_trained) for report in reports],
        "corpora added to the training parts differ",
    )
    found += _unequal(
        systems,
        [_versions(each) for each in reports],
        "augmented recordings added to the training parts differ",
    )
    heard = [_heard(each) for each in systems]
    known = [k for k, each in enumerate(heard) if each]  # a text is not heard, and an old report may not say
    found += _unequal(
        [systems[k] for k in known],
        [heard[k] for k in known],
        "the runs were not tested on the same sound, so that a difference may be of the sound",
    )
    if len(set(heard)) == 1 and any(each.augment for each in _specs(systems[0])):
        found.append(f"every run was tested on augmented recordings ({heard[0]})")
    named = zip(systems, reports, strict=True)
    return [*found, *of_rows([(system.name, leak_notes(report)) for system, report in named])]


def _trained_on(fold: FoldRecord) -> tuple[str, str, str]:
    return fold.name, fold.train_sha256, fold.dev_sha256


def _unequal(systems: Sequence[System], found: Sequence[str], line: str) -> list[str]:
    """The line, with what was found of each run, where that is not the same of all."""
    if len(set(found)) < 2:
        return []
    told = "; ".join(f"{s.name}: {each or 'none'}" for s, each in zip(systems, found, strict=True))
    return [f"{line} ({told})"]


def _versions(report: Report) -> str:
    """Of what a run was trained on beside the recordings as they were tested."""
    inputs = report.experiment.inputs if report.experiment is not None else ()
    return ", ".join(dict.fromkeys(said(beside) for each in inputs for beside in each.beside if beside))


def _specs(system: System) -> list[FeatureSpec]:
    """Of the features that were tested, those of sound; none of a report that does not know."""
    own = [system.features, *system.features.get("beside", ())]
    specs = [FeatureSpec.from_json(each["spec"]) for each in own if each.get("spec")]
    return [each for each in specs if not each.is_text]


def _heard(system: System) -> str:
    """What was done to the recordings that were tested: clip rules and augmentations, each once."""
    sounds = [each.sound.replace("; ", ", augmented by ") for each in _specs(system)]
    return " and ".join(dict.fromkeys(f"clip {each}" for each in sounds))
