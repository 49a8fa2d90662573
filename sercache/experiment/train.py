"""Training: a head's published set-up, changed where asked, over all folds and seeds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sercache import catalog, encoders, settings, stores
from sercache.datasets import Corpus, split_task
from sercache.errors import RecipeError, SettingsError, StoreError
from sercache.evaluation import Data, Evaluated, Extra, How, Method, Weights, evaluate
from sercache.evaluation.partial import settle
from sercache.experiment.corpora import read_corpus
from sercache.experiment.cross_corpus import TestedHeads, other_corpus
from sercache.experiment.epochs import epochs_heard
from sercache.experiment.finding import Found, check_store, find_store, is_same
from sercache.experiment.origin import extract_command
from sercache.experiment.outcome import finish
from sercache.experiment.setup import TrainOptions, check_inputs, chosen_setup
from sercache.experiment.starting import read as read_start
from sercache.head import is_solved
from sercache.progress import used, warn
from sercache.published.head import head_defaults, head_options, published_of
from sercache.recipe import Published, Recipe, Setup, inputs, override
from sercache.report.epochs import (
    check_tensorboard,
    remove_live,
    write_epochs,
    write_tensorboard,
)
from sercache.report.record import Report
from sercache.settings import Settings
from sercache.states import select
from sercache.stores.spec import FeatureSpec
from sercache.training.determinism import be_deterministic
from sercache.training.finetune import finetuned
from sercache.training.memory import keep_freed_memory


def run(request: TrainOptions) -> tuple[Report, Path]:
    """Train as asked and write the run folder; gives the report and the folder. Raises SercacheError."""
    report, weights, meant = trained(request)
    # Another training of this name may have been done first.
    folder = free_name(meant.parent, meant.name)
    finish(report, weights, folder)
    write_epochs(report, folder)
    if request.track:
        used("events", str(write_tensorboard(report, folder)))
    remove_partial(partial_of(meant), report)
    return report, folder


def partial_of(folder: Path) -> Path:
    """Where the trainings of a run lie until all of them are done."""
    return folder.with_name(f"{folder.name}.partial")


def remove_partial(partial: Path, report: Report) -> None:
    """Remove the unfinished trainings of a run that stands; says where those of other seeds or settings stay."""
    remove_live(partial)
    n_kept = settle(partial, report)
    if n_kept:
        used("kept", f"{n_kept} finished trainings of other seeds or settings in {partial}")


def trained(
    request: TrainOptions, folder: Path | None = None, *, partial: Path | None = None, test: bool = True
) -> tuple[Report, Weights, Path]:
    """What the training that was asked for gives, and the run folder meant for it (``folder``, if given).

    ``partial`` keeps each training as it is done; by default ``partial_of`` the run folder. Without ``test`` no test
    part is looked at. Raises SercacheError.
    """
    keep_freed_memory()
    module = catalog.load("sercache.heads", request.head)
    recipe, options = _checked_settings(module, request)
    known = settings.load()
    cache = known.value("cache", request.cache)
    cache_folder = Path(cache.value).expanduser()
    dataset = request.dataset or module.SETUP.dataset
    used("head", f"{request.head}: {module.SOURCE}")
    corpus, _ = read_corpus(dataset, request.root, known, cache_folder)
    setup, its_setup = chosen_setup(module, request, corpus)
    published = published_of(module, its_setup)
    check_inputs(module, request.head, setup)
    used("cache", cache)
    found = _found(request, cache_folder, corpus, setup)
    if request.store is not None:
        setup = _of_store(request, setup, found[0])
    _say_setup(found, setup)
    elsewhere = _elsewhere(request, found, corpus, setup, known, cache_folder) if test else []
    device = settings.resolve_device(known.value("device", request.device).value)
    runs = Path(known.value("runs", request.runs).value).expanduser()
    folder = folder or free_name(runs, checked_name(request.name) or default_name(request.head, setup))
    how = _how(request, corpus, partial or partial_of(folder))
    how = dataclasses.replace(how, runs=runs, test=test, device=device)
    if request.track:
        check_tensorboard()
    _check_writable(folder)
    if request.deterministic:
        be_deterministic()
    method = Method(request.head, module.Head, setup, recipe, options)
    data = Data(corpus, tuple(stores.open(each.folder) for each in found), test_on=tuple(elsewhere))
    done = evaluated(module, method, data, published, how, track=request.track)
    return done.report, done.weights, folder


def asked(request: TrainOptions, corpus: Corpus) -> tuple[Method, Data, How]:
    """What a call asks for, on a corpus that was read before; nothing is said or trained. Raises SercacheError."""
    module = catalog.load("sercache.heads", request.head)
    recipe, options = _checked_settings(module, request)
    cache = Path(settings.load().value("cache", request.cache).value).expanduser()
    setup, _ = chosen_setup(module, request, corpus)
    found = _found(request, cache, corpus, setup)
    method = Method(request.head, module.Head, setup, recipe, options)
    how = dataclasses.replace(_how(request, corpus, Path()), partial=None)
    return method, Data(corpus, tuple(stores.open(each.folder) for each in found)), how


def _checked_settings(module: ModuleType, request: TrainOptions) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the head's options as asked for. Raises RecipeError."""
    recipe = override(module.RECIPE, request.settings)
    options = head_options(module, request.head_options)
    if request.settings and is_solved(module.Head):
        on_offer = ", ".join(head_defaults(module))
        raise RecipeError(
            f"{request.head} is solved and has no recipe; it has options, given by --option ({on_offer})"
        )
    return recipe, options


def _elsewhere(
    request: TrainOptions, found: Sequence[Found], corpus: Corpus, setup: Setup, known: Settings, cache: Path
) -> list[Extra]:
    """The other corpora that are tested on, each encoded as the main one."""
    identities = [each.spec.identity for each in found]
    heads = TestedHeads(request.head, setup, corpus.task_name(setup.task), identities)
    named = [split_task(text) for text in setup.test_on]
    return [other_corpus(dataset, own_task, heads, known, cache) for dataset, own_task in named]


def _how(request: TrainOptions, corpus: Corpus, partial: Path) -> How:
    """How the trainings are computed, and what they start from."""
    how = How("serial" if request.serial else "auto", request.share_order, partial)
    start = read_start(request.start_from, corpus)
    if start is None:
        return how
    return dataclasses.replace(
        how, prepare=start.prepare, started_from=start.recorded(), heard_before=start.heard()
    )


def evaluated(
    module: ModuleType,
    method: Method,
    data: Data,
    published: Published | None,
    how: How,
    *,
    track: bool = False,
) -> Evaluated:
    """Train and test by the head of a file, with a bar over epochs; ``track`` writes TensorBoard events meanwhile."""
    kind = head_class(module, method.setup, [store.spec for store in data.stores])
    remedy = f"run: {extract_command(data.stores[0].path, task=method.setup.task)}"
    with epochs_heard(how.partial, track) as advance:
        return evaluate(
            dataclasses.replace(method, kind=kind),
            dataclasses.replace(data, remedy=remedy),
            published=published,
            how=how,
            progress=advance,
        )


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


def _found(request: TrainOptions, cache: Path, corpus: Corpus, setup: Setup) -> list[Found]:
    """The store of each input."""
    chosen, (first, *more) = request.clip is not None, inputs(setup)
    beside = [find_store(cache, corpus, own, request.head, clip_is_chosen=chosen) for own in more]
    if request.store is not None:
        return [check_store(request.store, corpus, first, chosen), *beside]
    return [find_store(cache, corpus, first, request.head, clip_is_chosen=chosen), *beside]


def _say_setup(found: Sequence[Found], setup: Setup) -> None:
    for line in (line for each in found for line in each.deviations):
        warn(line)
    for store, own in zip(found, inputs(setup), strict=True):
        kind = "frames" if own.frames else "means over time"
        used("store", f"{store.folder}")
        used("features", f"{store.spec.encoder}, states {own.states}, {kind}, normalised: {setup.normalise}")
    seeds = ", ".join(map(str, setup.seeds))
    used("protocol", f"{setup.protocol}, dev {setup.dev}, task {setup.task or 'default'}, seeds {seeds}")


def default_name(head: str, setup: Setup) -> str:
    """A run's name where the user gives none: head, encoder, corpus."""
    encoder = catalog.shown(Path(setup.encoder).name)
    return f"{catalog.shown(head)}-{encoder}-{catalog.file_name(setup.dataset)}"


def checked_name(name: str | None) -> str | None:
    """The name of a run folder, as given. Raises SettingsError for one that `sercache report` would not find."""
    if name is not None and (not name.strip() or name.startswith(".") or {"/", "\\", "\0"} & set(name)):
        raise SettingsError(
            f"--name {name!r} is no name of a folder; expected one without slashes that does not begin with a dot: "
            "choose where runs lie with --runs"
        )
    return name


def _of_store(request: TrainOptions, setup: Setup, found: Found) -> Setup:
    """The set-up with the encoder that made the store. Raises StoreError where another one was asked for."""
    spec = found.spec
    if request.encoder not in (None, spec.encoder, spec.shown) and not is_same(
        str(request.encoder), spec.identity.get("revision"), spec.identity
    ):
        raise StoreError(
            f"{found.folder} was made by {spec.encoder}, asked for --encoder {request.encoder}; leave one of "
            "--store and --encoder out"
        )
    # With trained blocks the checkpoint itself is read, which the store only names.
    return (
        setup if request.encoder or setup.finetune_from else dataclasses.replace(setup, encoder=spec.encoder)
    )


def _check_writable(folder: Path) -> None:
    """Raises SettingsError where a run cannot be written, before hours are spent on it."""
    there = next(place for place in folder.absolute().parents if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise SettingsError(f"runs cannot be written to {there}; choose another folder with --runs")


def free_name(runs: Path, name: str) -> Path:
    """The folder ``name``, or the first ``name-2``, ``name-3``, … that does not exist."""
    folder, number = runs / name, 2
    while folder.exists():
        folder, number = runs / f"{name}-{number}", number + 1
    return folder
