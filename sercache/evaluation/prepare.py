"""Before an evaluation: all that can be checked is, and what will be trained is named.

Features, labels, folds, dev parts, speakers, head options: what is wrong with them is told before the first training.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from torch import nn

from sercache import memory
from sercache.augment import said
from sercache.errors import RecipeError
from sercache.evaluation.cross_corpus import check_unseen
from sercache.evaluation.describe import setup_as_used
from sercache.evaluation.experiment import experiment_of, jobs_of
from sercache.evaluation.material import Material, gather
from sercache.evaluation.method import Data, How, Method
from sercache.evaluation.public_encoders import leaks
from sercache.evaluation.risked import at_risk
from sercache.evaluation.trained_encoders import check_encoders, encoder_records, recordings_of
from sercache.evaluation.unseen import check_initial, trained_recordings, unseen
from sercache.head import is_solved
from sercache.record import Experiment, Job, Numbers, Recording, TrainedEncoder
from sercache.training import build


@dataclass(frozen=True, eq=False)
class Prepared:
    """An evaluation that was checked and can begin."""

    method: Method
    """With the set-up as it is used: names as the corpus and the stores have them."""
    data: Data
    material: Material
    head: nn.Module
    """Untrained."""
    experiment: Experiment
    jobs: tuple[Job, ...]
    """Folds outside, seeds inside."""
    encoders: tuple[TrainedEncoder, ...]
    """Where the encoders of its features were trained, of those that a run of ours trained."""
    recordings: tuple[Recording, ...] | None
    """What trains any of its folds, and what trained the initial weights; None where that is not known."""
    remarks: tuple[str, ...]
    started: datetime
    clock: float
    """By ``time.perf_counter`` when it started."""


def prepare(method: Method, data: Data, how: How, *, is_ahead: bool = False) -> Prepared:
    """Read and check all that an evaluation needs, and name what it will train; nothing is trained.

    ``is_ahead``: only to tell what it takes. Raises MissingFeaturesError, ProtocolError, RecipeError, SettingsError;
    LeftOutError for a head that ended each process which built it.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    if not how.test:
        data = replace(data, test_on=())
    before = encoder_records(data.stores)
    encoders = tuple(each.recorded for each in before)
    check_unseen([*how.started_from, *encoders], [extra.corpus for extra in data.test_on])
    setup = setup_as_used(method.setup, data.corpus, data.stores[0])
    material = gather(data, setup, fold_seed=method.fold_seed)
    recordings = trained_recordings(material, data.corpus)
    if recordings is not None:
        recordings = (*recordings, *(how.recordings_before or ()), *recordings_of(before))
    material = unseen(material, recordings, setup.duplicates)
    remarks = check_initial(material, data.corpus, how.recordings_before, setup.duplicates)
    remarks += augmented(data, method.kind)
    remarks += check_encoders(material, data.corpus, before, setup.duplicates)
    if any(fold.test for fold in material.folds):
        remarks += leaks(data.stores, data.corpus)
    if how.recordings_before is None or any(each.record.recordings is None for each in before):
        recordings = None
    setup = replace(setup, test_on=tuple(f"{e.corpus.name}:{part.task}" for e, part in material.cross_corpus))
    method = replace(method, setup=setup)
    check(method, material)
    experiment = experiment_of(method, data.corpus, material, how)
    with at_risk("building", method, how, experiment, is_ahead=is_ahead):
        head = _built(method, material)
    with_speakers = bool(method.recipe.second_weight)
    jobs = tuple(jobs_of(experiment, material, setup.seeds, with_speakers=with_speakers, look=method.look))
    return Prepared(
        method, data, material, head, experiment, jobs, encoders, recordings, remarks, started, clock
    )


def augmented(data: Data, kind: type[nn.Module]) -> tuple[str, ...]:
    """Lines on features of recordings that were augmented: which the folds test on too, or are trained on alone."""
    found = {each.spec.encoder: said(each.spec.augment) for each in data.stores if each.spec.augment}
    lines = [
        f"{encoder}: every part, the tested one too, is of augmented recordings ({what})"
        for encoder, what in found.items()
    ]
    if data.augmented:
        kinds = dict.fromkeys(said(first.spec.augment) for first, *_ in data.augmented)
        how = (
            "all of them at once"
            if is_solved(kind)
            else "in each epoch one of all versions is drawn for each"
        )
        lines.append(
            f"trained on augmented recordings too, {how}: {'; '.join(kinds)}; dev and test parts are not"
        )
    return tuple(lines)


def check(method: Method, material: Material) -> None:
    """Refuse what cannot be trained, before anything is. Raises RecipeError."""
    setup, recipe = method.setup, method.recipe
    bare = [fold.name for fold in material.folds if not fold.dev]
    if recipe.needs_dev and bare:
        raise RecipeError(
            f"select={recipe.select}, schedule={recipe.schedule} needs a dev part and fold {bare[0]} has none; "
            "give one with --dev, or set select=last-epoch, patience=none and schedule=constant"
        )
    target = material.target
    if (recipe.loss in ("mse", "ccc")) != isinstance(target, Numbers):
        raise RecipeError(
            f"task {material.main.task} gives {target.kind}, which loss={recipe.loss} does not train; "
            f"set loss={target.losses}, or choose another task"
        )
    if len(set(setup.seeds)) < len(setup.seeds) or not setup.seeds or min(setup.seeds) < 0:
        raise RecipeError(f"seeds must be different whole numbers from 0, at least one, got {setup.seeds}")


def _built(method: Method, material: Material) -> nn.Module:
    """An untrained head. Raises RecipeError where it cannot be built."""
    setup, target = method.setup, material.target
    try:
        json.dumps(dict(method.options))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # refused below
            head = build(method.kind, material.main.view, len(target.names), setup.seeds[0], **method.options)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as fault:
        # The head's own words for options or shapes that it cannot take, or torch's.
        if memory.ran_out(fault):
            raise
        raise RecipeError(f"this head cannot be built: {fault}") from fault
    nothing = next((name for name, each in head.named_parameters() if not each.numel()), None)
    if nothing is not None:
        raise RecipeError(
            f"this head cannot be built: its weight {nothing} has no element with {_written(method)}; choose "
            "greater numbers with --option"
        )
    return head


def _written(method: Method) -> str:
    return ", ".join(f"{name}={value}" for name, value in method.options.items()) or "its options"
