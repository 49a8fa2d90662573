"""Testing elsewhere: the trained heads of a finished run on another corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from sercache import catalog, settings
from sercache.errors import RecipeError, SettingsError
from sercache.evaluation import evaluate_elsewhere
from sercache.evaluation.describe import setup_of
from sercache.evaluation.elsewhere import read_scalings
from sercache.experiment.cross_corpus import TestedHeads, folder_on, other_corpus
from sercache.experiment.origin import known_origin
from sercache.experiment.outcome import draw
from sercache.experiment.train import free_name, head_class
from sercache.progress import bar, used
from sercache.record import digest_of
from sercache.report import runs
from sercache.report.record import Elsewhere, Report
from sercache.training import build
from sercache.views import AnyView, Scaling


@dataclass(frozen=True)
class TestOptions:
    """The options of one call."""

    run: Path
    dataset: str
    task: str | None = None
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    encoder: str | None = None
    """Where the checkpoint lies, for a run that trained a local one's blocks with its head."""
    duplicates: str | None = None
    """What is to be done about recordings that the run was trained on: ``keep`` or ``apart``."""


def run(request: TestOptions) -> tuple[Report, Path]:
    """Predict all of the corpus with every head of the run; write ``RUN/on-<corpus>``; gives what was written.

    Another task than the corpus gets by itself has a folder of its own, ``RUN/on-<corpus>-<task>``.
    Raises SettingsError where the run kept no weights or has seen that corpus, MissingFeaturesError.
    """
    report = runs.load(request.run)
    known = settings.load()
    cache = Path(known.value("cache", request.cache).value).expanduser()
    setup = dataclasses.replace(setup_of(report.setup), encoder=report.features["spec"]["encoder"])
    used("run", f"{request.run}: {report.title}")
    heads = TestedHeads(report.head, setup, report.corpus["task"], identities(report))
    extra = other_corpus(request.dataset, request.task, heads, known, cache, root=request.root)
    # A run with --finetune-from needs the checkpoint itself; the store remembers where it lay.
    origin = known_origin(extra.store.path)
    setup = dataclasses.replace(setup, encoder=request.encoder or origin.get("encoder", setup.encoder))
    kind = head_class(
        catalog.load("sercache.heads", *report.head_source),
        setup,
        [each.spec for each in (extra.store, *extra.beside)],
    )
    models = bar(total=len(report.runs), desc="predicting", unit="model")
    try:
        there = evaluate_elsewhere(
            report,
            extra,
            partial(trained_head, kind, request.run, report),
            scalings_of(request.run, report),
            duplicates=request.duplicates,
            device=settings.resolve_device(known.value("device", request.device).value),
            progress=lambda _: models.update(),
        )
    finally:
        models.close()
    return _finish(report, there, folder_on(request.run, report, extra.corpus, there.task))


def trained_head(
    kind: type[nn.Module], folder: Path, report: Report, fold: str, seed: int, view: AnyView
) -> nn.Module:
    """The trained head of a fold and a seed, as the run folder keeps it."""
    outputs = report.targets or report.classes
    path = runs.weights_path(folder, fold, seed)
    weights = runs.read_tensors(path)
    try:
        return build(kind, view, len(outputs), seed, start=weights, **report.options).eval()
    except RecipeError as fault:
        raise SettingsError(
            f"{path} is not of the head {report.head} that report.json names: {fault}"
        ) from fault


def identities(report: Report) -> list[Mapping[str, Any]]:
    """Of the encoder of each input."""
    stores = [report.features, *report.features.get("beside", ())]
    return [store["spec"]["identity"] for store in stores]


def scalings_of(folder: Path, report: Report) -> dict[str, tuple[Scaling, ...]]:
    """Statistics of each fold's inputs, where the run normalised globally."""
    if report.setup["normalise"] != "global":
        return {}
    paths = {fold.name: runs.scaling_path(folder, fold.name) for fold in report.folds}
    return {fold: read_scalings(runs.read_tensors(path)) for fold, path in paths.items()}


def _finish(report: Report, there: Elsewhere, folder: Path) -> tuple[Report, Path]:
    """A run folder inside the run's: its record without its own tests, and what was said of the corpus."""
    bare = tuple(dataclasses.replace(each, scores={}) for each in report.runs)
    about = dataclasses.replace(
        report, runs=bare, predictions=(), summary={}, confusion=(), notes=(), elsewhere=(there,), heard=None
    )
    _make_room(folder, there)
    runs.save(about, folder, overwrite=True)
    draw(about, folder)
    return about, folder


def _make_room(folder: Path, there: Elsewhere) -> None:
    """What was said of other utterances or features of the corpus is no earlier try of this: it is moved aside."""
    try:
        before = runs.load(folder).elsewhere if (folder / runs.REPORT).is_file() else ()
    except SettingsError:  # a damaged one is replaced
        return
    now = digest_of([there.corpus, there.features])
    if any(digest_of([each.corpus, each.features]) != now for each in before):
        aside = free_name(folder.parent, f"former-{folder.name}")
        folder.rename(aside)
        used("moved", f"{folder} to {aside.name}: it is of other utterances or features of {there.dataset}")
