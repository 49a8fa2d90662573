"""Evaluation: one head, one cache, all folds and seeds of a protocol, as a Report.

Everything that can be checked is checked before the first training: features, labels, folds, dev parts,
speakers, head options.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from torch import nn

from sercache.datasets import Corpus
from sercache.errors import RecipeError
from sercache.evaluation.describe import deviations, environment, provenance, setup_as_used
from sercache.evaluation.elsewhere import Heard, check_unseen, conclude, evaluate_elsewhere, hear
from sercache.evaluation.layers import layer_weights, meaning_of
from sercache.evaluation.material import Extra, Material, gather
from sercache.evaluation.scores import (
    confusion,
    flat_remark,
    predictions_of,
    run_record,
    summarise,
    undefined,
)
from sercache.evaluation.solving import is_solved, solved
from sercache.evaluation.trainings import How, Progress, trainings
from sercache.recipe import Recipe, Setup
from sercache.report.record import Elsewhere, Prediction, Report, Run
from sercache.stores import FeatureStore
from sercache.training import build, predict
from sercache.views import Scaling, ViewPlan

__all__ = ["Extra", "How", "Material", "Progress", "check", "evaluate", "evaluate_elsewhere", "gather"]


Keep = Callable[[str, int, nn.Module], None]
"""Takes each trained head: fold, seed, head."""
KeepScalings = Callable[[str, Sequence[Scaling]], None]
"""Takes the global statistics of a fold: its name, one record for each input."""


_SHARED = (
    "the seeds of a fold share the order of their batches; they differ in initial weights and dropout only"
)


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
    published: Setup | None = None,
    published_recipe: Recipe | None = None,
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

    ``setup`` is what to do, ``published`` and ``published_recipe`` what the paper did: differences are
    listed. ``seeds`` and ``task`` replace those of the setup. ``beside`` are the stores of its further
    inputs. ``also_train`` is added to every training part, all of ``test_on`` is predicted by every head.
    ``fold_seed`` decides random folds and dev parts, ``budget`` (bytes) what may stay in memory.
    ``on_plan`` hears what will be read, ``progress`` every epoch, ``keep`` every trained head and
    ``keep_scalings`` the statistics that global normalisation takes in each fold. ``how`` says how the
    trainings are computed, and where each is kept as it finishes.
    Raises MissingFeaturesError, ProtocolError, RecipeError, SettingsError before training; TrainingError.
    """
    options, how = dict(head_options or {}), how or How()
    check_unseen(how.started_from, [extra.corpus.name for extra in test_on])
    started, clock = datetime.now(UTC), time.perf_counter()
    used = setup_as_used(setup, corpus, store, seeds=seeds, task=task)
    material = gather(
        corpus,
        store,
        used,
        beside=beside,
        also_train=also_train,
        test_on=test_on,
        fold_seed=fold_seed,
        budget=budget,
        remedy=remedy,
    )
    used = replace(used, test_on=tuple(f"{e.corpus.name}:{part.task}" for e, part in material.elsewhere))
    head = check(head_class, material, used, recipe, options)
    for part in (material.main, *(part for _, part in material.elsewhere)):
        for view in part.inputs:
            if on_plan:
                on_plan(view.plan)
    trained = _train_all(
        head_class, material, used, recipe, options, device, progress, keep, keep_scalings, how
    )
    return Report(
        head=head_name,
        options=options,
        n_parameters=sum(p.numel() for p in head.parameters()),
        recipe=_plain(recipe),
        setup={**_plain(used), "fold_seed": fold_seed},
        deviations=(
            *deviations(published, used, published_recipe, recipe, options, also_train),
            *getattr(head, "notes", ()),
            *((_SHARED,) if how.share_order else ()),
            *map(str, how.started_from),
            *trained.notes,
        ),
        seeds=used.seeds,
        runs=trained.runs,
        predictions=trained.predictions,
        summary=summarise(trained.runs, trained.predictions, material.targets),
        elsewhere=trained.elsewhere,
        started_from=how.started_from,
        notes=trained.remarks,
        confusion=confusion(trained.predictions, len(material.classes)),
        layer_weights_are=meaning_of(head),
        **provenance(corpus, (store, *beside), material, used, recipe, is_solved(head_class)),
        environment=environment(device),
        timing={
            "started": started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - clock,
            "training_seconds": list(trained.seconds),
            "trainings": list(trained.timings),
        },
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


def _train_all(
    head_class: type[nn.Module],
    material: Material,
    setup: Setup,
    recipe: Recipe,
    options: Mapping[str, Any],
    device: str,
    progress: Callable[[Progress], None] | None,
    keep: Keep | None,
    keep_scalings: KeepScalings | None,
    how: How,
) -> _Trained:
    """Train every member, test it, and record what it was."""
    targets = material.targets
    heard: list[list[Heard]] = [[] for _ in material.elsewhere]
    runs: list[Run] = []
    predictions: list[Prediction] = []
    seconds: list[float] = []
    notes: dict[str, None] = {}
    timings: list[Mapping[str, Any]] = []
    flat: list[str] = []
    if is_solved(head_class):
        members = solved(head_class, material, setup, options)
    else:
        members = trainings(
            head_class, material, setup, recipe, options, device=device, progress=progress, how=how
        )
    for at in members:
        done, test, fold = at.done, at.views.test, at.fold.name
        found: list[Prediction] = []
        if test is not None:
            outputs = predict(done.head, test, device=device)
            found = predictions_of(outputs, test, fold, at.seed, material.main.speakers)
        flat += [f"fold {fold}, seed {at.seed}, {name}" for name in undefined(found, targets)]
        shares = layer_weights(done.head, test, device)
        runs.append(run_record(fold, at.seed, done, found, shares, targets))
        predictions += found
        for (_, part), view, said in zip(material.elsewhere, at.views.elsewhere, heard, strict=True):
            said.append(hear(done.head, view, part, fold, at.seed, device))
        seconds.append(done.seconds)
        timings.append(done.timing)
        notes.update(dict.fromkeys(done.notes))
        if keep:
            keep(fold, at.seed, done.head)
        if keep_scalings and at.views.scalings:
            keep_scalings(fold, at.views.scalings)
    remarks = [flat_remark(flat, len(runs) * len(targets))] if flat else []
    return _Trained(
        tuple(runs),
        tuple(predictions),
        tuple(
            conclude(extra, part, setup, material.classes, targets, said)
            for (extra, part), said in zip(material.elsewhere, heard, strict=True)
        ),
        tuple(seconds),
        tuple(timings),
        tuple(notes),
        tuple(remarks),
    )


def _plain(record: Recipe | Setup) -> dict[str, Any]:
    """A record as JSON values."""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
