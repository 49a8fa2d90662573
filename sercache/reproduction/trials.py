"""Running trials: a finished one is kept and never computed again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sercache import settings, stores
from sercache.datasets import Corpus
from sercache.evaluation import Data, How, Method
from sercache.experiment import export, test_on
from sercache.experiment.cross_corpus import answers, tested_since
from sercache.experiment.outcome import compared, draw
from sercache.experiment.starting import read as read_start
from sercache.experiment.train import evaluated, remove_partial
from sercache.progress import used
from sercache.published.head import published_of
from sercache.published.trial import Plan
from sercache.published.trial import plan as as_printed
from sercache.recipe import Setup
from sercache.report import runs as run_folders
from sercache.report.epochs import write_epochs
from sercache.report.record import Report
from sercache.reproduction.material import (
    Place,
    added_corpus,
    check_at_hand,
    corpus_of,
    inputs_of,
    is_at_hand,
    tested_corpus,
)


def folder_of(plan: Plan, place: Place) -> Path:
    """Where the run of a trial lies, or will."""
    return place.folder / plan.name


def kept(plan: Plan, place: Place) -> Report | None:
    """The report of a finished trial with all that it was tested on since, None where it is still to be run.

    Raises SettingsError for a damaged run.
    """
    folder = folder_of(plan, place)
    if not folder.exists():
        return None
    report = run_folders.load(folder)
    left = _untested(plan, report)
    more = [each for each in tested_since(folder) if any(answers(each, text) for text in left)]
    return replace(report, elsewhere=(*report.elsewhere, *more))


def _untested(plan: Plan, report: Report) -> list[str]:
    """Corpora of the trial, ``DATASET[:TASK]``, that the report holds no result on."""
    return [t for t in plan.setup.test_on if not any(answers(each, t) for each in report.elsewhere)]


def missing_corpora(plans: Iterable[Plan], place: Place) -> list[str]:
    """Corpora that trials read and nobody pointed to, those that they are only tested on included."""
    names = dict.fromkeys(name for plan in plans for name in (*plan.datasets, *plan.tested_on))
    return [name for name in names if not is_at_hand(name, place)]


def obtain(plan: Plan, place: Place) -> Report:
    """The kept report of a trial, else extraction and training. Raises SercacheError."""
    folder = folder_of(plan, place)
    found = kept(plan, place)
    if found is not None:
        used("kept", str(folder))
        return found if not _test_on_new(plan, found, folder, place) else kept(plan, place) or found
    for name in plan.datasets:
        check_at_hand(name, place)
    if plan.start is not None:
        obtain(plan.start, place)
    setup = setup_to_run(plan, place)
    used("trial", plan.name)
    return _run(plan, setup, folder, place)


def setup_to_run(plan: Plan, place: Place) -> Setup:
    """The plan's set-up, with what an earlier trial trained as the encoder of its second input.

    Where that encoder is trained on from the state at which it was left, it is the untrained one: its trained
    blocks are initial weights, and what lies below them is in the cache already.
    """
    if plan.speaker is None:
        return plan.setup
    obtain(plan.speaker, place)
    before, second = plan.speaker.setup, plan.setup.boundaries[1]
    trains_on = second is not None and second == before.finetune_from
    encoder = before.encoder if trains_on else _trained_encoder(plan.speaker, place)
    return replace(plan.setup, beside=(f"{encoder}:final:frames",))


def _run(plan: Plan, setup: Setup, folder: Path, place: Place) -> Report:
    head, meant = plan.trial.head, as_printed(plan.trial)
    corpus, *found = inputs_of(setup, head, place, task=setup.task)
    added = [added_corpus(setup, also, head, place) for also in plan.trial.also_train]
    tested = [tested_corpus(setup, text, head, place) for text in plan.setup.test_on]
    partial = folder.with_name(f".{folder.name}.partial")
    published = published_of(
        plan.module, replace(meant.setup, beside=setup.beside), meant.recipe, plan.trial.options
    )
    method = Method(head, plan.module.Head, setup, plan.recipe, plan.trial.options)
    data = Data(corpus, tuple(map(stores.open, found)), tuple(added), tuple(filter(None, tested)))
    done = evaluated(plan.module, method, data, published, _how(plan, corpus, place, partial))
    report = done.report
    run_folders.save(compared(report), folder, weights=done.weights)
    write_epochs(report, folder)
    draw(report, folder)
    remove_partial(partial, report)
    return report


def _how(plan: Plan, corpus: Corpus, place: Place, partial: Path) -> How:
    """How a trial is trained: from the weights of the trials that come before it, where there are any."""
    parts = {"emotion": plan.start, "speaker": plan.speaker}
    pairs = [f"{part}={folder_of(before, place)}" for part, before in parts.items() if before]
    found = read_start(pairs, corpus)
    device = settings.resolve_device(place.device)
    how = How(partial=partial, runs=place.folder.parent, device=device)
    if found is None:
        return how
    return replace(how, prepare=found.prepare, started_from=found.recorded(), heard_before=found.heard())


def _test_on_new(plan: Plan, found: Report, folder: Path, place: Place) -> bool:
    """Test kept heads on corpora that were not at hand when they were trained; whether there was any."""
    done = False
    for text in _untested(plan, found):
        if tested_corpus(plan.setup, text, plan.trial.head, place) is None:
            continue
        name, _, task = text.partition(":")
        root = Path(corpus_of(name, place)[1])
        test_on.run(test_on.TestOptions(folder, name, task or None, root, place.cache, place.device))
        done = True
    return done


def _trained_encoder(plan: Plan, place: Place) -> Path:
    """The encoder that a trial trained, as a checkpoint folder beside its run."""
    run = folder_of(plan, place)
    out = run.with_name(f"{run.name}-encoder")
    if not out.exists():
        export.run(run, out, encoder=str(plan.setup.encoder), fold=None, seed=None)
    return out
