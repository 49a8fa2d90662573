"""`sercache train`: a head's published set-up, changed where asked, over all folds and seeds."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

from sercache import catalog, encoders, settings, stores
from sercache.commands._cache import extract_command, read_corpus
from sercache.commands._console import bar, used, warn
from sercache.commands._elsewhere import other_corpus
from sercache.commands._find import Found, check_store, find_store, is_same
from sercache.commands._outcome import finish
from sercache.datasets import Corpus
from sercache.errors import RecipeError, SettingsError, StoreError
from sercache.evaluation import Extra, How, Progress, evaluate
from sercache.evaluation.elsewhere import scaling_tensors
from sercache.evaluation.partial import remove
from sercache.evaluation.solving import is_solved
from sercache.recipe import Recipe, Setup, inputs, override, read_value
from sercache.report.epochs import write_epochs
from sercache.report.record import Report
from sercache.states import select
from sercache.stores.spec import FeatureSpec
from sercache.training.determinism import be_deterministic
from sercache.training.finetune import finetuned
from sercache.training.memory import keep_freed_memory
from sercache.views import Scaling

Weights = dict[tuple[str, int | None], Mapping[str, Any]]
"""What a run folder keeps of the heads: see ``sercache.report.runs.save``."""


@dataclass(frozen=True)
class Request:
    """The options of one call; None means as published."""

    head: str
    encoder: str | None = None
    dataset: str | None = None
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    runs: Path | None = None
    store: Path | None = None
    task: str | None = None
    protocol: str | None = None
    dev: str | None = None
    states: str | None = None
    clip: str | None = None
    frames: bool | None = None
    normalise: str | None = None
    max_frames: int | None = None
    seeds: int | None = None
    beside: Sequence[str] | None = None
    target: str | None = None
    test_on: Sequence[str] | None = None
    finetune_from: str | None = None
    settings: Sequence[str] = ()
    head_options: Sequence[str] = ()
    name: str | None = None
    serial: bool = False
    share_order: bool = False
    deterministic: bool = False


def run(request: Request) -> None:
    """Train as asked, write the run folder, print the table. Raises SercacheError."""
    keep_freed_memory()
    module = catalog.load("heads", request.head)
    recipe = override(module.RECIPE, request.settings)
    options = head_options(module, request.head_options)
    if request.settings and is_solved(module.Head):
        on_offer = ", ".join([*inspect.signature(module.Head).parameters][3:])
        raise RecipeError(
            f"{request.head} is solved and has no recipe; it has options, given by --option ({on_offer})"
        )
    known = settings.load()
    cache = known.value("cache", request.cache)
    cache_folder = Path(cache.value).expanduser()
    dataset = request.dataset or module.SETUP.dataset
    used("head", f"{request.head}: {module.SOURCE}")
    corpus, _ = read_corpus(dataset, request.root, known, cache_folder)
    setup, published = chosen_setup(module, request, corpus)
    _check_inputs(module, request.head, setup)
    used("cache", cache)
    found, *beside = _found(request, cache_folder, corpus, setup)
    for line in (line for each in (found, *beside) for line in each.deviations):
        warn(line)
    _say_setup((found, *beside), setup)
    task = corpus.task_name(setup.task)
    identities = [each.spec.identity for each in (found, *beside)]
    elsewhere = [
        other_corpus(text, task, setup, identities, request.head, known, cache_folder)
        for text in setup.test_on
    ]
    device = settings.resolve_device(known.value("device", request.device).value)
    runs = Path(known.value("runs", request.runs).value).expanduser()
    folder = free_name(runs, request.name or default_name(request.head, setup))
    partial = folder.with_name(f"{folder.name}.partial")
    if request.deterministic:
        be_deterministic()
    report, weights = train(
        module,
        request.head,
        corpus,
        found.folder,
        setup=setup,
        published=published,
        recipe=recipe,
        options=options,
        device=device,
        beside=[each.folder for each in beside],
        test_on=elsewhere,
        how=How("serial" if request.serial else "auto", request.share_order, partial),
    )
    finish(report, weights, folder)
    write_epochs(report, folder)
    remove(partial)


def train(
    module: ModuleType,
    head_name: str,
    corpus: Corpus,
    folder: Path,
    *,
    setup: Setup,
    published: Setup,
    recipe: Recipe,
    options: Mapping[str, Any],
    device: str,
    beside: Sequence[Path] = (),
    also_train: Sequence[Extra] = (),
    test_on: Sequence[Extra] = (),
    how: How | None = None,
) -> tuple[Report, Weights]:
    """Train and test with a progress bar over epochs; the report and what is to be kept of the heads.

    ``beside`` are the stores of the set-up's further inputs, ``test_on`` corpora that every head is tested on.
    """
    weights: Weights = {}

    def keep(fold: str, seed: int, head: Any) -> None:
        weights[fold, seed] = {name: value.detach().cpu() for name, value in head.state_dict().items()}

    def keep_scalings(fold: str, found: Sequence[Scaling]) -> None:
        weights[fold, None] = scaling_tensors(found)

    epochs = bar(desc="training", unit="epoch", bar_format=_BAR)

    def advance(at: Progress) -> None:
        # A run that stops early leaves epochs out: the total is corrected as they come in.
        epochs.total = epochs.n + at.left + 1
        epochs.set_postfix_str(f"fold {at.fold}, seed {at.seed}, run {at.run}/{at.n_runs}", refresh=False)
        epochs.update()

    try:
        store = stores.open(folder)
        report = evaluate(
            head_class(module, setup, store.spec),
            corpus,
            store,
            setup=setup,
            recipe=recipe,
            head_name=head_name,
            head_options=options,
            device=device,
            published=published,
            published_recipe=module.RECIPE,
            remedy=f"run: {extract_command(folder)}",
            beside=[stores.open(each) for each in beside],
            also_train=also_train,
            test_on=test_on,
            on_plan=lambda plan: used("reading", str(plan)),
            progress=advance,
            keep=keep,
            keep_scalings=keep_scalings,
            how=dataclasses.replace(how or How(), say=lambda text: used("training", text)),
        )
    finally:
        epochs.close()
    return report, weights


_BAR = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} epochs [{elapsed}<{remaining}{postfix}]"


def head_class(module: ModuleType, setup: Setup, spec: FeatureSpec) -> Any:
    """The head, on top of encoder blocks that are trained with it where the set-up asks for that.

    Raises EncoderError, UnknownNameError, StoreError where the weights are not those of the cache.
    """
    if setup.finetune_from is None:
        return module.Head
    encoder, revision = str(setup.encoder), spec.identity.get("revision")
    if not is_same(encoder, revision, spec.identity):
        raise StoreError(
            f"{encoder} has other weights or settings than those that made {spec.shown}; name the checkpoint "
            "that was extracted with --encoder"
        )
    states = select(spec.encoder_states or spec.states, setup.states)
    tail = encoders.load_tail(encoder, setup.finetune_from, states, revision=revision)
    return finetuned(module.Head, tail, frames=setup.frames)


def chosen_setup(module: ModuleType, request: Request, corpus: Corpus) -> tuple[Setup, Setup]:
    """What to do, and what the paper did: on this corpus where it used it, else on its own.

    On a corpus that the head was not published with, the corpus' own task and protocol take the place of
    those of the paper.
    """
    setup = published = module.SETUP
    if corpus.name != setup.dataset:
        on_this = getattr(module, "SETUPS", {}).get(corpus.name)
        published = on_this or published
        protocol = corpus.info.default_protocol
        setup = on_this or dataclasses.replace(
            setup, dataset=corpus.name, task=None, protocol=protocol, dev=_dev(setup, protocol)
        )
    names = {field.name for field in dataclasses.fields(Setup)} - {"seeds", "dataset"}
    changes = {name: value for name in names if (value := getattr(request, name)) not in (None, ())}
    if request.test_on:
        changes["test_on"] = tuple(name.strip() for text in request.test_on for name in text.split(","))
    if request.seeds is not None:
        changes["seeds"] = _seeds(setup.seeds, request.seeds)
    return dataclasses.replace(setup, **changes), published


def _dev(setup: Setup, protocol: str) -> str:
    """A dev rule for another protocol: none stays none, official parts bring their own."""
    return "none" if setup.dev == "none" or protocol.startswith("fixed:") else "next"


def _seeds(published: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The first ``n`` published seeds, and beyond those whole numbers that are not among them."""
    spare = (seed for seed in range(n + len(published)) if seed not in published)
    return (*published, *spare)[:n]


def head_options(module: ModuleType, pairs: Sequence[str]) -> dict[str, Any]:
    """Options of a head written ``name=value``, read as the types of its constructor.

    Raises RecipeError for an option that the head does not have or a value that does not fit.
    """
    hints = get_type_hints(module.Head.__init__)
    on_offer = sorted(set(hints) - {"n_layers", "dim", "n_outputs", "return"})
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.replace("-", "_")
        if not equals or name not in on_offer:
            raise RecipeError(catalog.unknown("head option (name=value)", pair, on_offer))
        options[name] = read_value(name, text, hints[name])
        allowed = get_args(hints[name])
        if allowed and all(isinstance(each, str) for each in allowed) and options[name] not in allowed:
            raise RecipeError(catalog.unknown(f"value of head option {name}", text, list(allowed)))
    return options


def _check_inputs(module: ModuleType, head: str, setup: Setup) -> None:
    """Raises SettingsError where the head reads more or fewer inputs than the set-up has."""
    needed, given = getattr(module, "INPUTS", 1), len(inputs(setup))
    if needed != given:
        raise SettingsError(
            f"{head} reads {needed} inputs and has {given}: give --beside ENCODER[:STATES[:pooled|frames]] "
            f"{needed - 1} times"
        )


def _found(request: Request, cache: Path, corpus: Corpus, setup: Setup) -> list[Found]:
    """The store of each input."""
    chosen, (first, *more) = request.clip is not None, inputs(setup)
    beside = [find_store(cache, corpus, own, request.head, clip_is_chosen=chosen) for own in more]
    if request.store is not None:
        return [check_store(request.store, corpus, first, chosen), *beside]
    return [find_store(cache, corpus, first, request.head, clip_is_chosen=chosen), *beside]


def _say_setup(found: Sequence[Found], setup: Setup) -> None:
    for store, own in zip(found, inputs(setup), strict=True):
        kind = "frames" if own.frames else "means over time"
        used("store", f"{store.folder}")
        used("features", f"{store.spec.encoder}, states {own.states}, {kind}, normalised: {setup.normalise}")
    seeds = ", ".join(map(str, setup.seeds))
    used("protocol", f"{setup.protocol}, dev {setup.dev}, task {setup.task or 'default'}, seeds {seeds}")


def default_name(head: str, setup: Setup) -> str:
    """A run's name where the user gives none: head, encoder, corpus."""
    return f"{head}-{Path(setup.encoder).name}-{setup.dataset}"


def free_name(runs: Path, name: str) -> Path:
    """The folder ``name``, or the first ``name-2``, ``name-3``, … that does not exist."""
    folder, number = runs / name, 2
    while folder.exists():
        folder, number = runs / f"{name}-{number}", number + 1
    return folder
