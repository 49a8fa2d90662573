"""One corpus of an evaluation: what is true of its utterances, and the views of its features."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sercache import advice, clips
from sercache.catalog import unknown
from sercache.datasets import Corpus, spelling_key
from sercache.errors import MissingFeaturesError, SettingsError, StoreError, UnknownNameError
from sercache.evaluation.method import Extra
from sercache.evaluation.sound import Audio, audio_of
from sercache.extraction import is_finished, skips
from sercache.progress import warn
from sercache.recipe import Setup, inputs
from sercache.record import Classes, Numbers, Target
from sercache.stores import FeatureStore
from sercache.text import reading
from sercache.views import AnyView, FeatureView, beside, open_view, speaker_scaling, stored_entries

Value = str | tuple[float, ...]
"""What is true of an utterance: its class, or its numbers in the order of the target's names."""


@dataclass(frozen=True)
class Truth:
    """What is true of the utterances of a corpus that can be used."""

    values: Mapping[str, Value]
    """By id."""
    numbers: tuple[str, ...] = ()
    """What the numbers are; empty where the task gives classes."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Utterances that are not used, as their audio could not be encoded or was trained on: id -> reason."""

    @property
    def target(self) -> Target:
        """What a head has to give: the numbers, or the classes that occur."""
        if self.numbers:
            return Numbers(self.numbers)
        return Classes(tuple(sorted(set(self.labels.values()))))

    @property
    def labels(self) -> dict[str, str]:
        """Class by id; of no utterance where the task gives numbers."""
        return {id: value for id, value in self.values.items() if isinstance(value, str)}

    def only(self, ids: Collection[str]) -> Truth:
        """Of these utterances."""
        return replace(self, values={id: value for id, value in self.values.items() if id in ids})

    def without(self, reasons: Mapping[str, str]) -> Truth:
        """Of the others than some: id -> why."""
        rest = self.only(self.values.keys() - reasons.keys())
        return replace(rest, left_out={**self.left_out, **reasons})


@dataclass(frozen=True, eq=False)
class Part:
    """Utterances of one corpus with their features, and those that had to be left out."""

    inputs: tuple[FeatureView, ...]
    """One view for each input of the heads."""
    truth: Truth
    """Of those that are used, and why others are not."""
    speakers: Mapping[str, str]
    task: str
    audio: Audio | None = None
    """Digests of the audio of each; None where that is not known."""
    remarks: tuple[str, ...] = ()
    """On what was trained on, of a corpus that is tested on."""

    @property
    def view(self) -> AnyView:
        """All inputs as one view."""
        return beside(self.inputs)

    def without(self, reasons: Mapping[str, str]) -> Part:
        """The part without some utterances: id -> why."""
        truth = self.truth.without(reasons)
        return replace(
            self,
            inputs=tuple(view.subset(list(truth.values)) for view in self.inputs),
            truth=truth,
            speakers={id: self.speakers[id] for id in truth.values},
        )


def read_truth(
    corpus: Corpus,
    stores: Sequence[FeatureStore],
    task: str | None,
    target: str | None = None,
    language: str | None = None,
) -> Truth:
    """Labels or numbers of the utterances that can be used, and why others cannot: extraction skipped them.

    ``target`` picks one of a task's numbers. Raises UnknownNameError, SettingsError.
    """
    names: tuple[str, ...] = ()
    values: dict[str, Value]
    if corpus.is_numeric(task):
        numeric_task = task or corpus.info.default_task
        numbers, names = corpus.targets(numeric_task), corpus.target_names(numeric_task)
        if target is not None:
            if target not in names:
                raise UnknownNameError(unknown(f"target of {corpus.name}", target, list(names)))
            place = names.index(target)
            names, numbers = (target,), {id: (own[place],) for id, own in numbers.items()}
        values = {**numbers}
    elif target is not None:
        raise SettingsError(
            f"target {target} is one of a task's numbers, and {corpus.task_name(task)} of {corpus.name} gives "
            "classes; choose another task, for example avd or shares"
        )
    else:
        values = {**corpus.labels(task)}
    truth = Truth(values, names)
    if language is not None:
        truth = truth.only({u.id for u in corpus.utterances if u.language.split("-")[0] == language})
    return truth.without(_left_out(truth.values, stores))


def _left_out(ids: Collection[str], stores: Sequence[FeatureStore]) -> dict[str, str]:
    left_out: dict[str, str] = {}
    for store in stores:
        skipped = skips(store.path)
        held = stored_entries(store) if skipped else {}
        for id in ids if skipped else ():
            reasons = [skipped[key] for key in (id, f"{id}#0") if key in skipped]
            if id not in held and reasons:
                left_out.setdefault(id, reasons[0])
    return left_out


def open_part(
    corpus: Corpus,
    stores: Sequence[FeatureStore],
    setup: Setup,
    task: str | None,
    truth: Truth,
    target: Target,
    budget: int,
    remedy: str | None,
) -> Part:
    """The features of some utterances; speaker statistics are taken here, over all of them."""
    wanted = inputs(setup)
    if len(wanted) != len(stores):
        raise SettingsError(
            f"the set-up has {len(wanted)} inputs, got {len(stores)} stores; give one for each"
        )
    speakers = {u.id: u.speaker for u in corpus.utterances if u.id in truth.values}
    views: list[FeatureView] = []
    for k, (own, store) in enumerate(zip(wanted, stores, strict=True)):
        view = _open_input(store, own, truth, target, budget, remedy if k == 0 else None)
        budget = max(0, budget - view.plan.bytes * view.plan.in_memory)
        if setup.normalise == "speaker":
            view = view.scaled(speaker_scaling(view, speakers))
        views.append(view)
    beside(views)  # refuses inputs that do not hold the same items
    audio = audio_of(stores, truth.values)
    return Part(tuple(views), truth, speakers, corpus.task_name(task), audio)


def _open_input(
    store: FeatureStore, setup: Setup, truth: Truth, target: Target, budget: int, remedy: str | None
) -> FeatureView:
    if clips.parse(store.spec.clip).kind == "split" and not is_finished(store.path):
        how = remedy or f"`{advice.command('info', store.path)}` shows the command that does"
        raise MissingFeaturesError(
            f"the extraction into {store.path} was cut off and must be finished first; {how}"
        )
    return open_view(
        store,
        {
            id: target.names.index(value) if isinstance(value, str) else value
            for id, value in truth.values.items()
        },
        states=setup.cached_states,
        frames=setup.cached_frames,
        max_frames=setup.max_frames,
        skipped=skips(store.path),
        budget=budget,
        remedy=remedy,
    )


def open_added(
    extra: Extra,
    stores: Sequence[FeatureStore],
    setup: Setup,
    target: Target,
    budget: int,
) -> Part:
    """Features of an added corpus, from the same encoders, labelled by the same classes or targets."""
    own = extra.stores
    _same_encoders(extra, own, stores)
    truth = read_truth(extra.corpus, own, extra.task, setup.target, extra.language)
    if isinstance(target, Classes):
        truth = as_trained(extra.corpus.name, truth, target.names)
    _same_outputs(extra.corpus.name, truth, target)
    if not truth.values:
        language = f" in language {extra.language}" if extra.language else ""
        raise MissingFeaturesError(f"{extra.corpus.name} has no labelled utterances{language}")
    return open_part(extra.corpus, own, setup, extra.task, truth, target, budget, None)


def _same_encoders(extra: Extra, own: Sequence[FeatureStore], stores: Sequence[FeatureStore]) -> None:
    for there, here in zip(own, stores, strict=False):
        if dict(there.spec.identity) != dict(here.spec.identity):
            raise StoreError(
                f"{extra.corpus.name} was encoded by {there.spec.encoder} with other weights or settings, or on "
                f"another device, than {here.spec.corpus}; extract both with the same encoder and revision"
            )


def as_trained(name: str, truth: Truth, outputs: Sequence[str]) -> Truth:
    """The truth with its classes spelt as those trained that differ by case, space or normal form alone; said once."""
    trained = {spelling_key(each): each for each in outputs}
    if reading().labels_as_written or len(trained) < len(outputs):
        return truth
    spelt = {label: trained.get(spelling_key(label), label) for label in truth.labels.values()}
    changed = [f"{label!r} as {spelt[label]}" for label in sorted(spelt) if spelt[label] != label]
    if not changed:
        return truth
    warn(
        f"{name} spells classes otherwise than they were trained: {', '.join(changed)} (--labels-as-written keeps "
        "them apart)"
    )
    return replace(truth, values={id: spelt[label] for id, label in truth.labels.items()})


def _same_outputs(name: str, truth: Truth, target: Target) -> None:
    """Refuses classes that are not trained, and numbers that are not those that are."""
    there, expected = truth.target, ", ".join(target.names)
    if type(there) is not type(target):
        raise SettingsError(
            f"{target.kind} are trained here and {name} has {there.kind}; choose another task of {name}"
        )
    if isinstance(target, Numbers) and there != target:
        raise SettingsError(
            f"{name} has the targets {', '.join(there.names)}; expected {expected}: "
            "choose another task, or one target that both have"
        )
    strange = sorted(set(there.names) - set(target.names))
    if strange:
        raise SettingsError(
            f"{name} labels classes that are not trained here: {', '.join(strange)}; "
            f"expected {expected}: choose another task of {name}"
        )


def open_cross_corpus(
    extra: Extra,
    stores: Sequence[FeatureStore],
    setup: Setup,
    main_task: str,
    target: Target,
    budget: int,
) -> Part:
    """All of a corpus that trained heads are to be tested on, its classes mapped by name.

    Without a task of its own it gets the one that is called as ``main_task``, or else its default.
    """
    named = replace(extra, task=extra.task or cross_corpus_task(extra.corpus, main_task))
    return open_added(named, stores, setup, target, budget)


def cross_corpus_task(corpus: Corpus, main_task: str) -> str:
    """The task of another corpus that answers ``main_task``: of the same name, else the corpus' own."""
    name = main_task.partition("@")[0]
    return name if name in corpus.info.tasks or corpus.is_numeric(name) else corpus.info.default_task
