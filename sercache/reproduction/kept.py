"""Finished trials: which run folder of a plan is what the plan would give now, and what makes another one another."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from sercache.datasets import Corpus
from sercache.errors import MissingFeaturesError, MissingMaterialError, SercacheError
from sercache.evaluation import (
    Data,
    How,
    Method,
    cross_corpus_differs,
    differs,
    differs_in_code,
    experiment_differs_in_code,
)
from sercache.experiment.cross_corpus import answers, tested_since
from sercache.experiment.places import free_name
from sercache.experiment.starting import InitialWeights
from sercache.experiment.starting import read as read_start
from sercache.published import TrialPlan
from sercache.recipe import Setup
from sercache.record import CrossCorpus, Report
from sercache.report import runs
from sercache.reproduction.material import added_corpus, inputs_of, tested_corpus
from sercache.reproduction.place import Place, lists_folder

_SHOWN = 3
"""Differences that are named."""


@dataclass(frozen=True)
class Kept:
    """A finished run of a plan."""

    folder: Path
    report: Report
    """With all that it was tested on since, as far as that is of the corpora that lie here now."""
    differs: tuple[str, ...] = ()
    """What makes it another result than the one that the plan would give now; none where it is that one."""
    unchecked: str = ""
    """Why only code and settings were compared, not corpora and features; empty where all was."""

    @property
    def why(self) -> str:
        """The differences in one line."""
        more = len(self.differs) - _SHOWN
        return "; ".join(self.differs[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def find(plan: TrialPlan, place: Place) -> Kept | None:
    """The finished run of a plan that is what it would give now, else the last one; None where none was finished.

    Nothing is extracted or trained to tell. Raises SettingsError for a damaged run.
    """
    if plan.digest not in place.kept:
        found = [_compared(folder, plan, place) for folder in _folders(plan, place)]
        if not found:
            return None
        place.kept[plan.digest] = next((each for each in found if not each.differs), found[0])
    return place.kept[plan.digest]


def folder_of(plan: TrialPlan, place: Place) -> Path:
    """Where the run of a plan lies, or will: what is there of another experiment stays."""
    found = find(plan, place)
    return found.folder if found and not found.differs else free_name(place.folder, plan.name)


def is_done(plan: TrialPlan, place: Place) -> bool:
    """Whether a run of the plan is finished, as far as code and settings tell."""
    own = (plan.module.Head, plan.trial.options, plan.recipe)
    experiments = (runs.read_experiment(folder) for folder in _folders(plan, place))
    return any(not experiment_differs_in_code(each, *own) for each in experiments)


def untested(plan: TrialPlan, report: Report) -> list[str]:
    """Corpora of the trial, ``DATASET[:TASK]``, that the report holds no result on."""
    return [t for t in plan.setup.test_on if not any(answers(each, t) for each in report.cross_corpus)]


def start_of(plan: TrialPlan, corpus: Corpus, place: Place) -> InitialWeights | None:
    """The finished trials that a plan begins with, for their parts of the head. Raises as reading a start does."""
    parts = {"emotion": plan.start, "speaker": plan.speaker}
    return read_start([f"{part}={folder_of(each, place)}" for part, each in parts.items() if each], corpus)


def setup_beside(plan: TrialPlan, encoder: Path | str) -> Setup:
    """The plan's set-up with ``encoder``, as an earlier trial trained it, for its second input."""
    return replace(plan.setup, beside=(f"{encoder}:final:frames",))


def encoder_of(plan: TrialPlan, place: Place) -> Path | str:
    """What reads the second input of a plan that an earlier trial comes before.

    The encoder that this trial trained, as a checkpoint folder beside its run. Where it is trained on from the state
    at which it was left, the untrained one: its trained blocks are initial weights, and what lies below them is in
    the cache already.
    """
    assert plan.speaker is not None
    before, second = plan.speaker.setup, plan.setup.boundaries[1]
    if second is not None and second == before.finetune_from:
        return before.encoder
    run = folder_of(plan.speaker, place)
    return run.with_name(f"{run.name}-encoder")


def _folders(plan: TrialPlan, place: Place) -> list[Path]:
    """Finished runs of a plan, the last one first: ``NAME``, ``NAME-2``, …"""
    own = []
    for folder in runs.find(place.folder):
        name, dash, number = folder.name.rpartition("-")
        if folder.name == plan.name:
            own.append((1, folder))
        elif name == plan.name and dash and number.isdecimal():
            own.append((int(number), folder))
    return [folder for _, folder in sorted(own, reverse=True)]


def _compared(folder: Path, plan: TrialPlan, place: Place) -> Kept:
    report = runs.load(folder)
    found, unchecked = _differs(plan, report, place)
    if found:
        return Kept(folder, report, found)
    tested: dict[tuple[str, str], CrossCorpus] = {}
    for each in (*report.cross_corpus, *tested_since(folder)):
        if _is_current(plan, report, each, place):
            tested.setdefault((each.dataset, each.task), each)
    return Kept(folder, replace(report, cross_corpus=tuple(tested.values())), (), unchecked)


def _differs(plan: TrialPlan, report: Report, place: Place) -> tuple[tuple[str, ...], str]:
    """What makes a report another one than the plan's, and why not all could be compared."""
    in_code = differs_in_code(report, plan.module.Head, plan.trial.options, plan.recipe)
    if in_code:
        return in_code, ""
    for before in filter(None, (plan.start, plan.speaker)):
        found = find(before, place)
        if found is not None and found.differs:
            return tuple(f"{before.trial.head} that comes before: {line}" for line in found.differs), ""
    try:
        method, data, how = asked_of(plan, place)
    except SercacheError as fault:
        return (), short(fault)
    try:
        return differs(report, method, data, how), ""
    except MissingFeaturesError as fault:  # the corpus has more utterances now than were encoded for the run
        return (short(fault),), ""


def asked_of(plan: TrialPlan, place: Place) -> tuple[Method, Data, How]:
    """What the plan would train now, by the corpora and features that are here, or planned. Raises SercacheError."""
    missing = [each for each in (plan.start, plan.speaker) if each and find(each, place) is None]
    if missing and place.planned is None:
        raise MissingMaterialError(f"the run of {missing[0].trial.head} that comes before is not there")
    setup, head, here = plan.setup, plan.trial.head, place.as_it_is
    if plan.speaker is not None:
        encoder = encoder_of(plan, place)
        # One that is trained first takes as long as it does untrained.
        is_there = not isinstance(encoder, Path) or encoder.exists() or place.planned is None
        setup = setup_beside(plan, encoder if is_there else plan.speaker.setup.encoder)
    corpus, *read = inputs_of(setup, head, here, recogniser=plan.recogniser)
    start = None if missing else start_of(plan, corpus, place)
    added = tuple(added_corpus(plan, setup, also, here) for also in plan.trial.also_train)
    return (
        Method(head, plan.module.Head, setup, plan.recipe, plan.trial.options, look=plan.look),
        Data(corpus, tuple(read), added, lists=lists_folder(plan, place)),
        How(started_from=start.recorded() if start else ()),
    )


def _is_current(plan: TrialPlan, report: Report, there: CrossCorpus, place: Place) -> bool:
    """Whether a result is one that the trial asks for, of the corpus and its features as they are here.

    One that cannot be compared, as the corpus or its features are not here, is taken for that.
    """
    text = next((text for text in plan.setup.test_on if answers(there, text)), None)
    if text is None:
        return False
    try:
        extra = tested_corpus(plan, text, place.as_it_is)
    except SercacheError:
        return True
    return extra is None or not cross_corpus_differs(there, extra, plan.setup, report.classes)


def short(fault: SercacheError) -> str:
    """What is the matter, without what is to be done about it."""
    return re.split(r"[;:,] (?:get it from|then run|run): ?", str(fault))[0]
