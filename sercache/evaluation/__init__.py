"""Evaluation: one head, one cache, all folds and seeds of a protocol, as a Report.

Everything that can be checked is checked before the first training: features, labels, folds, dev parts,
speakers, head options.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from torch import nn

from sercache import catalog
from sercache.datasets import Corpus
from sercache.errors import RecipeError
from sercache.evaluation.describe import environment, provenance, setup_as_used, standardises
from sercache.evaluation.elsewhere import (
    Heard,
    check_unseen,
    conclude,
    evaluate_elsewhere,
    flat_remarks,
    hear,
)
from sercache.evaluation.experiment import experiment_of, jobs_of
from sercache.evaluation.layers import layer_weights, meaning_of
from sercache.evaluation.material import Extra, Material, gather
from sercache.evaluation.published import differences, fewer_updates
from sercache.evaluation.scores import confusion, run_record, summarise
from sercache.evaluation.solving import solved
from sercache.evaluation.trained_encoders import check_encoders, encoder_records, recordings_of
from sercache.evaluation.trainings import How, Member, Progress, trainings
from sercache.evaluation.unheard import check_initial, recordings, unheard
from sercache.head import is_solved, notes_of
from sercache.recipe import Published, Recipe, Setup
from sercache.record import Job
from sercache.report.record import Elsewhere, Prediction, Report, Run
from sercache.stores import FeatureStore
from sercache.training import build
from sercache.views import FeatureView, Scaling, ViewPlan

__all__ = ["Extra", "How", "Material", "Progress", "check", "evaluate", "evaluate_elsewhere", "gather"]


Keep = Callable[[str, int, nn.Module], None]
"""Takes each trained head: fold, seed, head."""
KeepScalings = Callable[[str, Sequence[Scaling]], None]
"""Takes the global statistics of a fold: its name, one record for each input."""


_SHARED = (
    "the seeds of a fold share the order of their batches; they differ in initial weights and dropout only"
)
_UNTESTED = "not tested: the dev part is to choose among several trainings first"


@dataclass(frozen=True)
class _Trained:
    """What the trainings left."""

    runs: tuple[Run, ...]
    predictions: tuple[Prediction, ...]
    elsewhere: tuple[Elsewhere, ...]
    seconds: tuple[float, ...]
    timings: tuple[Mapping[str, Any], ...]
    """How each was computed."""
    notes: tuple[str, ...]
    """Of the trainings: what could not be done as the recipe says."""
    remarks: tuple[str, ...]
    """On the numbers."""


def evaluate(
    head_class: type[nn.Module],
    corpus: Corpus,
    store: FeatureStore,
    *,
    setup: Setup,
    recipe: Recipe,
    head_name: str,
    head_options: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "cpu",
    published: Published | None = None,
    beside: Sequence[FeatureStore] = (),
    also_train: Sequence[Extra] = (),
    test_on: Sequence[Extra] = (),
    task: str | None = None,
    fold_seed: int = 0,
    budget: int | None = None,
    remedy: str | None = None,
    on_plan: Callable[[ViewPlan], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    keep: Keep | None = None,
    keep_scalings: KeepScalings | None = None,
    how: How | None = None,
) -> Report:
    """Train and test a head on every fold and seed; the Report says what was done and what came out.

    ``setup`` is what to do, ``published`` what the paper did, if there is one: differences are listed. ``seeds`` and
    ``task`` replace those of the setup. ``beside`` are the stores of its further inputs. ``also_train`` is added to
    every training part, all of ``test_on`` is predicted by every head.
    ``fold_seed`` decides random folds and dev parts, ``budget`` (bytes) what may stay in memory.
    ``on_plan`` hears what will be read, ``progress`` every epoch, ``keep`` every trained head and
    ``keep_scalings`` the statistics that global normalisation takes in each fold. ``how`` says how the
    trainings are computed, and where each is kept as it finishes.
    Raises MissingFeaturesError, ProtocolError, RecipeError, SettingsError before training; TrainingError.
    """
    options, how = dict(head_options or {}), how or How()
    test_on = test_on if how.test else ()
    trained_before = encoder_records((store, *beside))
    encoders = tuple(each.recorded for each in trained_before)
    check_unseen([*how.started_from, *encoders], [extra.corpus for extra in test_on])
    started, clock = datetime.now(UTC), time.perf_counter()
    used = setup_as_used(setup, corpus, store, seeds=seeds, task=task)
    material = gather(
        corpus, store, used, beside=beside, also_train=also_train, test_on=test_on, fold_seed=fold_seed,
        budget=budget, remedy=remedy,
    )  # fmt: skip
    heard = recordings(material, corpus)
    if heard is not None:
        heard = (*heard, *(how.heard_before or ()), *recordings_of(trained_before))
    material = unheard(material, heard, used.duplicates)
    remarks = check_initial(material, corpus, how.heard_before, used.duplicates)
    remarks += check_encoders(material, corpus, trained_before, used.duplicates)
    used = replace(used, test_on=tuple(f"{e.corpus.name}:{part.task}" for e, part in material.elsewhere))
    head = check(head_class, material, used, recipe, options)
    if on_plan:
        for view in _views(material):
            on_plan(view.plan)
    experiment = experiment_of(
        head_class, head_name, options, corpus, material, used, recipe, fold_seed=fold_seed,
        started_from=how.started_from, share_order=how.share_order,
    )  # fmt: skip
    jobs = jobs_of(experiment, material, used.seeds, with_speakers=bool(recipe.second_weight))
    trained = _train_all(
        head_class, material, used, recipe, options, jobs, device, progress, keep, keep_scalings, how
    )
    others = [f"{extra.corpus.name} added to every training part" for extra in also_train]
    if published is not None:
        own = differences(published, used, experiment.recipe, experiment.options)
        others = [*map(str, [*own, *fewer_updates(published, used, trained.runs)]), *others]
    return Report(
        head=catalog.shown(head_name),
        head_file=catalog.absolute(head_name) if catalog.is_file(head_name) else "",
        options=experiment.options,
        n_parameters=sum(p.numel() for p in head.parameters()),
        recipe=experiment.recipe,
        setup={**_plain(used), "fold_seed": fold_seed},
        deviations=(*others, *notes_of(head), *_remarks(how), *trained.notes),
        seeds=used.seeds,
        layer_weights_are=meaning_of(head),
        started_from=how.started_from,
        encoders_trained=encoders,
        heard=None
        if how.heard_before is None or any(e.record.heard is None for e in trained_before)
        else heard,
        **_results(trained, material, how, remarks),
        **provenance(corpus, (store, *beside), material, used, recipe, head),
        experiment=experiment,
        environment=environment(device, (store, *beside), is_solved(head_class)),
        timing=_timing(started, clock, trained),
    )


def check(
    head_class: type[nn.Module],
    material: Material,
    setup: Setup,
    recipe: Recipe,
    options: Mapping[str, Any],
) -> nn.Module:
    """Refuse what cannot be trained, before anything is; gives an untrained head.

    Raises RecipeError.
    """
    bare = [fold.name for fold in material.folds if not fold.dev]
    if recipe.needs_dev and bare:
        raise RecipeError(
            f"select={recipe.select}, schedule={recipe.schedule} needs a dev part and fold {bare[0]} has none; "
            "give one with --dev, or set select=last-epoch, patience=none and schedule=constant"
        )
    if (recipe.loss in ("mse", "ccc")) != material.numeric:
        kind, losses = (
            ("numbers", "mse or ccc") if material.numeric else ("classes", "cross-entropy or focal")
        )
        raise RecipeError(
            f"task {material.main.task} gives {kind}, which loss={recipe.loss} does not train; "
            f"set loss={losses}, or choose another task"
        )
    if len(set(setup.seeds)) < len(setup.seeds) or not setup.seeds or min(setup.seeds) < 0:
        raise RecipeError(f"seeds must be different whole numbers from 0, at least one, got {setup.seeds}")
    try:
        json.dumps(dict(options))
        return build(head_class, material.main.view, len(material.outputs), setup.seeds[0], **options)
    except (TypeError, ValueError) as fault:  # the head's own words for options or shapes it cannot take
        raise RecipeError(f"this head cannot be built: {fault}") from fault


def _views(material: Material) -> list[FeatureView]:
    """All that is read."""
    parts = (material.main, *(part for _, part in material.elsewhere))
    return [view for part in parts for view in part.inputs]


def _remarks(how: How) -> tuple[str, ...]:
    return (*((_SHARED,) if how.share_order else ()), *map(str, how.started_from))


def _results(trained: _Trained, material: Material, how: How, remarks: Sequence[str]) -> dict[str, Any]:
    """The fields of a Report that say what came out."""
    return {
        "runs": trained.runs,
        "predictions": trained.predictions,
        "summary": summarise(trained.runs, trained.predictions, material.targets),
        "elsewhere": trained.elsewhere,
        "notes": (*remarks, *trained.remarks, *(() if how.test else (_UNTESTED,))),
        "confusion": confusion(trained.predictions, len(material.classes)),
    }


def _timing(started: datetime, clock: float, trained: _Trained) -> dict[str, Any]:
    return {
        "started": started.isoformat(timespec="seconds"),
        "seconds": time.perf_counter() - clock,
        "training_seconds": list(trained.seconds),
        "trainings": list(trained.timings),
    }


def _train_all(
    head_class: type[nn.Module],
    material: Material,
    setup: Setup,
    recipe: Recipe,
    options: Mapping[str, Any],
    jobs: Sequence[Job],
    device: str,
    progress: Callable[[Progress], None] | None,
    keep: Keep | None,
    keep_scalings: KeepScalings | None,
    how: How,
) -> _Trained:
    """Train every member, test it, and record what it was."""
    if is_solved(head_class):
        members = solved(head_class, material, setup, options, jobs)
    else:
        members = trainings(
            head_class, material, setup, recipe, options, jobs=jobs, device=device, progress=progress, how=how
        )
    targets = material.targets
    at_home: list[Heard] = []
    elsewhere: list[list[Heard]] = []
    runs: list[Run] = []
    fits: list[tuple[float, Mapping[str, Any], Sequence[str]]] = []
    inside = "none"
    for at in members:
        done, fold = at.done, at.fold.name
        inside = standardises(done.head)
        own = _hear_at_home(at, material, device, how)
        at_home.append(own)
        elsewhere.append(_hear_elsewhere(at, material, device))
        runs.append(
            run_record(fold, at.seed, done, own.predictions, own.layer_weights, targets, at.job.digest)
        )
        fits.append((done.seconds, done.timing, done.notes))
        if keep:
            keep(fold, at.seed, done.head)
        if keep_scalings and at.views.scalings:
            keep_scalings(fold, at.views.scalings)
    return _Trained(
        tuple(runs),
        tuple(one for each in at_home for one in each.predictions),
        tuple(
            conclude(extra, part, setup, material.classes, targets, inside, [each[k] for each in elsewhere])
            for k, (extra, part) in enumerate(material.elsewhere)
        ),
        tuple(seconds for seconds, _, _ in fits),
        tuple(timing for _, timing, _ in fits),
        tuple(dict.fromkeys(note for _, _, notes in fits for note in notes)),
        (*flat_remarks(at_home, targets), *_ways_remarks([timing for _, timing, _ in fits])),
    )


def _ways_remarks(timings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A line where some of the trainings were computed elsewhere, by an earlier run."""
    ways = Counter((each["device"], each["torch"]) for each in timings if "device" in each)
    if len(ways) < 2:
        return ()
    shown = ", ".join(f"{n} on {device} by torch {version}" for (device, version), n in ways.items())
    return (
        f"the trainings were not all computed in one way ({shown}): the same but for rounding and what dropout draws",
    )


def _hear_at_home(at: Member, material: Material, device: str, how: How) -> Heard:
    """What a head says of its fold's test part; nothing where there is none or nothing is to be tested."""
    view = at.views.test if how.test else None
    if view is None:
        return Heard(at.fold.name, at.seed, (), layer_weights(at.done.head, None, device))
    return hear(at.done.head, view, material.main, at.fold.name, at.seed, device)


def _hear_elsewhere(at: Member, material: Material, device: str) -> list[Heard]:
    """What a head says of each other corpus."""
    there = zip(material.elsewhere, at.views.elsewhere, strict=True)
    return [hear(at.done.head, view, part, at.fold.name, at.seed, device) for (_, part), view in there]


def _plain(record: Setup) -> dict[str, Any]:
    """A record as JSON values."""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
