"""What a call of training asks for: head, set-up, recipe, corpora and stores, by name or as they are at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sercache import catalog, paces, settings, stores
from sercache.datasets import Corpus, split_task
from sercache.encoders import Encoder
from sercache.errors import RecipeError, SettingsError, StoreError
from sercache.evaluation import Data, Extra, How, Method
from sercache.experiment.augmented_stores import beside_plain
from sercache.experiment.cross_corpus import Tested, TestedHeads, other_corpus
from sercache.experiment.finding import FoundStore, check_store, encoder_of, find_store
from sercache.experiment.labels import read_labels
from sercache.experiment.origin import extract_command
from sercache.experiment.setup import TrainOptions, check_inputs, chosen_settings, chosen_setup
from sercache.experiment.starting import read as read_start
from sercache.experiment.tails import head_class
from sercache.head import is_solved, of_class
from sercache.progress import used, warn
from sercache.protocols import brings_dev
from sercache.published import head_defaults, published_of
from sercache.recipe import Published, Recipe, Setup, inputs
from sercache.settings import Settings
from sercache.stores import FeatureStore

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class AtHand:
    """What a caller has in memory, in the place of names; what is not here is found by its name, as options say."""

    head: type[nn.Module] | None = None
    """Its class."""
    encoder: Encoder | None = None
    corpus: Corpus | None = None
    store: FeatureStore | None = None
    """Of the first input."""
    beside: tuple[FeatureStore, ...] = ()
    """Of the further inputs, in their order."""
    test_on: tuple[Extra, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything is to be found by its name."""
        return all(value is None or value == () for value in vars(self).values())


@dataclass(frozen=True, eq=False)
class AskedTraining:
    """What ``evaluate`` takes, checked as far as names go, and the folder of runs."""

    method: Method
    data: Data
    published: Published | None
    how: How
    runs: Path


def asked(request: TrainOptions, corpus: Corpus) -> tuple[Method, Data, How]:
    """What a call asks for, on a corpus that was read before; nothing is said or trained. Raises SercacheError."""
    module = catalog.load("sercache.heads", request.head)
    recipe, options = _checked_settings(module, request)
    cache = Path(settings.load().value("cache", request.cache).value).expanduser()
    setup, _ = chosen_setup(module, request, corpus)
    found = _found(request, AtHand(), cache, corpus, setup)
    method = Method(request.head, module.Head, setup, recipe, options, look=request.look)
    how = dataclasses.replace(_how(request, corpus), paces=paces.file_in(cache))
    read = tuple(stores.open(each.folder) for each in found)
    return method, Data(corpus, read, augmented=beside_plain(request.augmented, read, corpus, cache)), how


def ready(request: TrainOptions, at_hand: AtHand, *, test: bool = True) -> AskedTraining:
    """Head, set-up, recipe, corpora and stores, by what is at hand or by their names.

    Without ``test`` no test part is looked at. Raises SercacheError.
    """
    known = settings.load()
    cache = known.value("cache", request.cache)
    cache_folder = Path(cache.value).expanduser()
    if at_hand.head is None:
        module = catalog.load("sercache.heads", request.head)
        recipe, options = _checked_settings(module, request)
        used("head", f"{request.head}: {module.SOURCE}")
        corpus = _corpus(request, at_hand, module.SETUP.dataset, known, cache_folder)
    else:
        corpus = _corpus(request, at_hand, None, known, cache_folder)
        module = of_class(at_hand.head, _usual(request, at_hand, corpus))
        recipe, options = _checked_settings(module, request)
    setup, its_setup = chosen_setup(module, request, corpus)
    published = published_of(module, its_setup)
    check_inputs(module, request.head, setup)
    for store in (at_hand.store, *at_hand.beside):
        _check_of(store, corpus)
    for extra in at_hand.test_on:
        _check_of(extra.store, extra.corpus)
    used("cache", cache)
    found = _found(request, at_hand, cache_folder, corpus, setup)
    if at_hand.store is not None:
        setup = dataclasses.replace(setup, clip=at_hand.store.spec.clip)
    elif request.store is not None:
        setup = _of_store(request, setup, found[0])
    _say_setup(found, setup, corpus.task_name(setup.task))
    extras = at_hand.test_on
    if test and not extras:
        extras = tuple(_cross_corpus(request, found, corpus, setup, known, cache_folder))
        setup = dataclasses.replace(setup, test_on=_named(setup.test_on, extras))
    first = (at_hand.store,) if at_hand.store is not None else (stores.open(found[0].folder),)
    more = at_hand.beside or tuple(stores.open(each.folder) for each in found[1:])
    read = (*first, *more)
    method = Method(
        request.head,
        head_class(module, setup, [each.spec for each in read], vars(recipe)),
        setup,
        recipe,
        options,
        look=request.look,
    )
    remedy = f"run: {extract_command(read[0].path, task=setup.task)}"
    noisy = beside_plain(request.augmented, read, corpus, cache_folder)
    named = at_hand.store.path if at_hand.store is not None else request.store
    data = Data(corpus, read, test_on=extras if test else (), augmented=noisy, remedy=remedy, named=named)
    device = settings.resolve_device(known.value("device", request.device).value)
    runs = Path(known.value("runs", request.runs).value).expanduser()
    how = dataclasses.replace(
        _how(request, corpus), test=test, device=device, paces=paces.file_in(cache_folder)
    )
    return AskedTraining(method, data, published, how, runs)


def _corpus(
    request: TrainOptions, at_hand: AtHand, published: str | None, known: Settings, cache: Path
) -> Corpus:
    """The corpus at hand, or that of this name; by default the one that the head was published with."""
    if at_hand.corpus is not None:
        return at_hand.corpus
    store = at_hand.store.path if at_hand.store is not None else request.store
    dataset = request.dataset or (published if store is None else None)
    if dataset is None and store is None:
        raise SettingsError(
            f"{request.head} is a class, which was published with no corpus; name one: dataset=…"
        )
    return read_labels(dataset, request.root, known, cache, store)


def _usual(request: TrainOptions, at_hand: AtHand, corpus: Corpus) -> Setup:
    """How a class that says nothing of itself reads features and is judged on this corpus. Raises SettingsError."""
    protocol = corpus.info.default_protocol
    spec = at_hand.store.spec if at_hand.store is not None else None
    if spec is None and request.store is not None:
        spec = stores.read_spec(request.store)
    if spec is None and request.encoder is None:
        raise SettingsError(
            f"{request.head} is a class, which was published with no encoder; name one: encoder=…"
        )
    return Setup(
        encoder=spec.shown if spec else str(request.encoder),
        dataset=corpus.name,
        protocol=protocol,
        dev="none" if brings_dev(protocol) else "next",
        states="all",
        frames=spec.frames if spec else True,
    )


def _check_of(store: FeatureStore | None, corpus: Corpus) -> None:
    """Raises StoreError for a store of another corpus: ids may be the same."""
    if store is not None and not corpus.goes_by(store.spec.corpus, store.spec.release):
        raise StoreError(
            f"{store.path} holds {store.spec.corpus} {store.spec.release}, got the corpus {corpus.name} "
            f"{corpus.release}; give the store that was extracted from it"
        )


def _checked_settings(module: ModuleType, request: TrainOptions) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the head's options as asked for. Raises RecipeError."""
    recipe, options = chosen_settings(module, request)
    if request.settings and is_solved(module.Head):
        on_offer = ", ".join(head_defaults(module))
        raise RecipeError(
            f"{request.head} is solved and has no recipe; it has options, given by --option ({on_offer})"
        )
    return recipe, options


def _cross_corpus(
    request: TrainOptions,
    found: Sequence[FoundStore],
    corpus: Corpus,
    setup: Setup,
    known: Settings,
    cache: Path,
) -> list[Extra]:
    """The other corpora that are tested on, each encoded as the main one."""
    identities = [each.spec.identity for each in found]
    heads = TestedHeads(request.head, setup, corpus.task_name(setup.task), identities)
    named = [split_task(text) for text in setup.test_on]
    return [other_corpus(Tested(dataset), own_task, heads, known, cache) for dataset, own_task in named]


def _named(asked: Sequence[str], extras: Sequence[Extra]) -> tuple[str, ...]:
    """What is tested on, by names of corpora: where a store lies is of this machine alone."""
    return tuple(
        f"{extra.corpus.name}:{extra.task}" if stores.exists(settings.expanded(split_task(text)[0])) else text
        for text, extra in zip(asked, extras, strict=True)
    )


def _how(request: TrainOptions, corpus: Corpus) -> How:
    """How the trainings are computed, and what they start from."""
    how = How("serial" if request.serial else "auto", request.share_order)
    start = read_start(request.start_from, corpus)
    if start is None:
        return how
    return dataclasses.replace(
        how, prepare=start.prepare, started_from=start.recorded(), recordings_before=start.recordings()
    )


def _found(
    request: TrainOptions, at_hand: AtHand, cache: Path, corpus: Corpus, setup: Setup
) -> list[FoundStore]:
    """The store of each input."""
    chosen, (first, *more) = request.clip is not None, inputs(setup)
    head = "" if at_hand.head else request.head
    if at_hand.store is not None:
        main = FoundStore(at_hand.store.path, at_hand.store.spec, ())
    elif request.store is not None:
        main = check_store(request.store, corpus, first, chosen)
    else:
        identity = at_hand.encoder.identity if at_hand.encoder else None
        main = find_store(cache, corpus, first, head, clip_is_chosen=chosen, identity=identity)
    if at_hand.beside:
        return [main, *(FoundStore(each.path, each.spec, ()) for each in at_hand.beside)]
    return [main, *(find_store(cache, corpus, own, head, clip_is_chosen=chosen) for own in more)]


def _say_setup(found: Sequence[FoundStore], setup: Setup, task: str) -> None:
    for line in (line for each in found for line in each.deviations):
        warn(line)
    for store, own in zip(found, inputs(setup), strict=True):
        kind = "frames" if own.frames else "means over time"
        used("store", f"{store.folder}")
        used("features", f"{store.spec.encoder}, states {own.states}, {kind}, normalised: {setup.normalise}")
    seeds = f"{'seed' if len(setup.seeds) == 1 else 'seeds'} {', '.join(map(str, setup.seeds))}"
    used("protocol", f"{setup.protocol}, dev {setup.dev}, task {task}, {seeds}")


def _of_store(request: TrainOptions, setup: Setup, found: FoundStore) -> Setup:
    """The set-up with the encoder that made the store. Raises StoreError where another one was asked for."""
    encoder = encoder_of(found.folder, request.encoder)
    # With trained blocks the checkpoint itself is read, which the store only names.
    return setup if request.encoder or setup.finetune_from else dataclasses.replace(setup, encoder=encoder)
