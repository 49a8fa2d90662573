"""Vectors that a trial's trained network gives for utterances."""

from __future__ import annotations

from dataclasses import replace

from sercache import catalog, settings
from sercache.evaluation import Data, Material, fold_views, gather
from sercache.experiment.tails import head_class
from sercache.experiment.vectors import LabelledVectors, check_embeds, embedded
from sercache.papers import Vectors
from sercache.published import TrialPlan
from sercache.recipe import Setup
from sercache.report import runs
from sercache.reproduction.kept import folder_of
from sercache.reproduction.material import inputs_of
from sercache.reproduction.place import Place, lists_folder
from sercache.reproduction.trials import obtain, setup_to_run
from sercache.training import build
from sercache.views import AnyView


def labelled(wanted: Vectors, plan: TrialPlan, place: Place) -> LabelledVectors:
    """The vectors of the trial's first training. Raises SettingsError for heads that give none."""
    check_embeds(plan.trial.head, catalog.load("sercache.heads", plan.trial.head).Head)
    report = obtain(plan, place)
    setup = _setup(wanted, setup_to_run(plan, place))
    corpus, *read = inputs_of(setup, plan.trial.head, place, recogniser=plan.recogniser)
    material = gather(Data(corpus, tuple(read), lists=lists_folder(plan, place)), setup)
    view = _view(wanted, material, setup)
    kind = head_class(plan.module, setup, [each.spec for each in read], vars(plan.recipe))
    first = report.runs[0]
    head = build(kind, view, len(report.classes), first.seed, **plan.trial.options)
    head.load_state_dict(runs.read_tensors(runs.weights_path(folder_of(plan, place), first.fold, first.seed)))
    vectors, outputs = embedded(head.eval(), view, settings.resolve_device(place.device))
    if wanted.by == "speaker":
        labels = [material.main.speakers[each] for each in view.utterance_ids]
    else:
        labels = [report.classes[k] for k in outputs.argmax(1)]
    return LabelledVectors(vectors, tuple(labels))


def _setup(wanted: Vectors, setup: Setup) -> Setup:
    """What to read: the trial's own recordings, or all of another corpus."""
    setup = replace(setup, test_on=(), clip=wanted.clip or setup.clip)
    if wanted.on is None:
        return setup
    dataset, _, task = wanted.on.partition(":")
    return replace(setup, dataset=dataset, task=task or None, protocol="all", dev="none")


def _view(wanted: Vectors, material: Material, setup: Setup) -> AnyView:
    if wanted.part == "all":
        return material.main.view
    views = fold_views(material, material.folds[0], setup.normalise)
    view = views.train if wanted.part == "train" else views.test
    assert view is not None
    return view
