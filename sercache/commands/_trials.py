"""Running trials: a finished one is kept and never computed again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sercache import settings
from sercache.commands import export
from sercache.commands._console import used
from sercache.commands._material import (
    Place,
    added_corpus,
    check_at_hand,
    inputs_of,
    is_at_hand,
    tested_corpus,
)
from sercache.commands._outcome import draw
from sercache.commands._trial import Plan
from sercache.commands.train import train
from sercache.recipe import Setup
from sercache.report import runs as run_folders
from sercache.report.record import Report


def folder_of(plan: Plan, place: Place) -> Path:
    """Where the run of a trial lies, or will."""
    return place.folder / plan.name


def kept(plan: Plan, place: Place) -> Report | None:
    """The report of a finished trial, None where it is still to be run. Raises SettingsError for damage."""
    folder = folder_of(plan, place)
    return run_folders.load(folder) if folder.exists() else None


def missing_corpora(plan: Plan, place: Place) -> tuple[str, ...]:
    """Corpora that the trial reads and nobody pointed to, those that it is only tested on included."""
    names = [*plan.datasets, *plan.tested_on]
    return tuple(name for name in dict.fromkeys(names) if not is_at_hand(name, place))


def obtain(plan: Plan, place: Place) -> Report:
    """The kept report of a trial, else extraction and training. Raises SercacheError."""
    folder = folder_of(plan, place)
    found = kept(plan, place)
    if found is not None:
        used("kept", str(folder))
        return found
    for name in plan.datasets:
        check_at_hand(name, place)
    if plan.start is not None:
        obtain(plan.start, place)
    setup = plan.setup
    if plan.speaker is not None:
        obtain(plan.speaker, place)
        setup = replace(setup, beside=(f"{_trained_encoder(plan.speaker, place)}:final:frames",))
    used("trial", plan.name)
    return _run(plan, setup, folder, place)


def _run(plan: Plan, setup: Setup, folder: Path, place: Place) -> Report:
    head = plan.trial.head
    corpus, store, *beside = inputs_of(setup, head, place, task=setup.task)
    added = [added_corpus(setup, also, head, place) for also in plan.trial.also_train]
    tested = [tested_corpus(setup, text, head, place) for text in plan.setup.test_on]
    report, weights = train(
        plan.module,
        head,
        corpus,
        store,
        setup=setup,
        published=setup,
        recipe=plan.recipe,
        options=plan.trial.options,
        device=settings.resolve_device(place.device),
        beside=beside,
        also_train=added,
        test_on=[each for each in tested if each is not None],
    )
    run_folders.save(report, folder, weights=weights)
    draw(report, folder)
    return report


def _trained_encoder(plan: Plan, place: Place) -> Path:
    """The encoder that a trial trained, as a checkpoint folder beside its run."""
    run = folder_of(plan, place)
    out = run.with_name(f"{run.name}-encoder")
    if not out.exists():
        export.run(run, out, encoder=str(plan.setup.encoder), fold=None, seed=None)
    return out
