"""Running trials: a finished one is kept, and computed again only where it would be another experiment now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sercache import paces, settings
from sercache.datasets import Corpus
from sercache.evaluation import Data, Evaluated, How, Method, Prepared
from sercache.experiment import export, test_on
from sercache.experiment.origin import extract_command
from sercache.experiment.outcome import compared, draw
from sercache.experiment.places import free_name
from sercache.experiment.ready import AskedTraining
from sercache.experiment.tails import head_class
from sercache.experiment.together import is_run_of, remove_partial, standing_in, together
from sercache.progress import used, warn
from sercache.published import TrialPlan, published_of
from sercache.published import plan as as_printed
from sercache.recipe import Setup
from sercache.record import Report
from sercache.report import runs as run_folders
from sercache.report import write_epochs
from sercache.reproduction.kept import Kept, encoder_of, find, folder_of, setup_beside, start_of, untested
from sercache.reproduction.material import added_corpus, inputs_of, tested_corpus
from sercache.reproduction.place import Place, check_at_hand, corpus_of, done_by_one, lists_folder
from sercache.stores import FeatureStore

if TYPE_CHECKING:
    from torch import nn


def obtain(plan: TrialPlan, place: Place) -> Report:
    """The report of a finished trial that is what the plan would give now, else extraction and training.

    A finished run of another experiment is no such trial: it stays where it is, and is told with what differs.
    Raises SercacheError.
    """
    meant = free_name(place.folder, plan.name)  # before looking: another process may be at the same trial
    found = find(plan, place)
    if found is not None and not found.differs:
        used("kept", str(found.folder))
        if found.unchecked:
            warn(f"{found.folder} was compared by code and settings alone: {found.unchecked}")
        return _tested(plan, found, place)
    if found is not None:
        warn(f"{found.folder} is another experiment and stays, the trial runs again: {found.why}")
    for name in plan.datasets:
        check_at_hand(name, place)
    lists_folder(plan, place)
    if plan.start is not None:
        obtain(plan.start, place)
    setup = setup_to_run(plan, place)
    used("trial", meant.name)
    made = _run(plan, setup, meant, place)
    place.kept[plan.digest] = made
    return made.report


def setup_to_run(plan: TrialPlan, place: Place) -> Setup:
    """The plan's set-up, with what an earlier trial trained as the encoder of its second input."""
    if plan.speaker is None:
        return plan.setup
    obtain(plan.speaker, place)
    encoder = encoder_of(plan, place)
    with done_by_one(f"encoder-{plan.speaker.digest}", place):
        if isinstance(encoder, Path) and not encoder.exists():
            run = folder_of(plan.speaker, place)
            export.run(export.ExportOptions(run, encoder, encoder=str(plan.speaker.setup.encoder)))
    return setup_beside(plan, encoder)


def _run(plan: TrialPlan, setup: Setup, folder: Path, place: Place) -> Kept:
    """A trial trained, with whatever other processes are given the same; one of them writes its run."""
    head, meant = plan.trial.head, as_printed(plan.trial)
    corpus, *read = inputs_of(setup, head, place, recogniser=plan.recogniser)
    added = [added_corpus(plan, setup, also, place) for also in plan.trial.also_train]
    tested = [tested_corpus(plan, text, place) for text in plan.setup.test_on]
    encoder = meant.setup.encoder
    if Path(encoder).is_absolute():  # a folder of the user's in a row of its own, which runs call by its name
        encoder = read[0].spec.shown
    printed = replace(meant.setup, beside=setup.beside, encoder=encoder)
    published = published_of(plan.module, printed, meant.recipe, plan.trial.options)
    kind = kind_of(plan, setup, read)
    method = Method(head, kind, setup, plan.recipe, plan.trial.options, look=plan.look)
    remedy = f"run: {extract_command(read[0].path, task=setup.task)}"
    lists = lists_folder(plan, place)
    data = Data(corpus, tuple(read), tuple(added), tuple(filter(None, tested)), remedy, lists=lists)
    partial = _partial_of(folder)
    how = _how(plan, corpus, place, partial)

    def standing(ready: Prepared) -> Kept | None:
        made = next((each for each in standing_in(folder) if is_run_of(ready, each)), None)
        return None if made is None else Kept(made, run_folders.load(made))

    def keep(done: Evaluated) -> Kept:
        own = free_name(folder.parent, folder.name)
        run_folders.save(compared(done.report), own, weights=done.weights)
        write_epochs(done.report, own)
        draw(done.report, own)
        remove_partial(partial, done.report)
        return Kept(own, done.report)

    made = together(AskedTraining(method, data, published, how, place.folder.parent), standing, keep)
    assert isinstance(made, Kept)  # no part was named
    return made


def unfinished(plan: TrialPlan, place: Place) -> Path:
    """Where each training of a trial is kept as it is done, until its run stands."""
    return _partial_of(free_name(place.folder, plan.name))


def _partial_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def kind_of(plan: TrialPlan, setup: Setup, read: Sequence[FeatureStore]) -> type[nn.Module]:
    """The head of a plan, with what it trains of the encoders of these stores."""
    return head_class(plan.module, setup, [each.spec for each in read], vars(plan.recipe))


def computed_on(place: Place) -> tuple[str, Path]:
    """The device that trials are trained on, and the file that keeps how fast heads were seen to train."""
    return settings.resolve_device(place.device), paces.file_in(place.cache)


def _how(plan: TrialPlan, corpus: Corpus, place: Place, partial: Path) -> How:
    """How a trial is trained: from the weights of the trials that come before it, where there are any."""
    found = start_of(plan, corpus, place)
    device, known = computed_on(place)
    how = How(partial=partial, runs=place.folder.parent, device=device, paces=known)
    if found is None:
        return how
    return replace(
        how, prepare=found.prepare, started_from=found.recorded(), recordings_before=found.recordings()
    )


def _tested(plan: TrialPlan, found: Kept, place: Place) -> Report:
    """The report, its heads tested on corpora of the trial that were not at hand, or not as they are now, before."""
    done = False
    for text in untested(plan, found.report):
        extra = tested_corpus(plan, text, place)
        if extra is None:
            continue
        name, _, task = text.partition(":")
        root = Path(corpus_of(name, place)[1])
        options = test_on.TestOptions(found.folder, name, task or None, root, place.cache, place.device)
        test_on.run(options, None, extra.corpus, *extra.stores)
        done = True
    if not done:
        return found.report
    del place.kept[plan.digest]
    again = find(plan, place)
    return again.report if again else found.report
