"""Running trials: a finished one is kept and never computed again."""

from __future__ import annotations

from pathlib import Path

from sercache import settings
from sercache.commands._console import used
from sercache.commands._material import (
    Place,
    check_at_hand,
    extra_of,
    is_at_hand,
    store_of,
)
from sercache.commands._outcome import draw
from sercache.commands._trial import Plan
from sercache.commands.train import train
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
    """Corpora that the training needs and nobody pointed to."""
    return tuple(name for name in plan.datasets if not is_at_hand(name, place))


def obtain(plan: Plan, place: Place) -> Report:
    """The kept report of a trial, else extraction and training. Raises SercacheError."""
    folder = folder_of(plan, place)
    found = kept(plan, place)
    if found is not None:
        used("kept", str(folder))
        return found
    for name in plan.datasets:
        check_at_hand(name, place)
    used("trial", plan.name)
    return _run(plan, folder, place)


def _run(plan: Plan, folder: Path, place: Place) -> Report:
    setup, head = plan.setup, plan.trial.head
    corpus, store = store_of(setup, head, place, task=setup.task)
    extras = [extra_of(also, setup, head, place) for also in plan.trial.also_train]
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
        also_train=extras,
    )
    run_folders.save(report, folder, weights=weights)
    draw(report, folder)
    return report
