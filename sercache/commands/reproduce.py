"""`sercache reproduce`: a paper's table, ours beside the printed numbers."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from sercache import catalog, clips, extraction, settings, stores
from sercache.commands import extract
from sercache.commands._cache import corpus_root, read_corpus
from sercache.commands._console import say, used, warn
from sercache.commands._find import find_store
from sercache.commands._outcome import draw
from sercache.commands.train import train
from sercache.datasets import Corpus
from sercache.errors import EncoderError, MissingFeaturesError, SercacheError, SettingsError, UnknownNameError
from sercache.evaluation import Extra
from sercache.papers import AlsoTrain, Row, Table, Trial
from sercache.recipe import Setup
from sercache.report import runs as run_folders
from sercache.report import tables
from sercache.report.record import Report
from sercache.settings import Settings


@dataclass(frozen=True)
class _Place:
    """Where a reproduction finds and leaves things."""

    known: Settings
    cache: Path
    device: str
    folder: Path
    may_extract: bool


def run(
    paper: str,
    table: str,
    *,
    root: Path | None,
    cache: Path | None,
    device: str | None,
    runs: Path | None,
    rows: str | None,
    may_extract: bool,
) -> None:
    """Run what can be run, keep it, print the whole table and write it as Markdown, CSV and LaTeX.

    A corpus or checkpoint that is not at hand is named once, with how to get it; its rows show the printed
    numbers alone. Raises UnknownNameError, and what else a training raises.
    """
    module = catalog.load("sercache.papers", paper)
    if table not in module.TABLES:
        raise UnknownNameError(catalog.unknown(f"table of {paper}", table, list(module.TABLES)))
    wanted: Table = module.TABLES[table]
    known = settings.load()
    if root is not None:
        first = next(row.trial.dataset for row in wanted.rows if row.trial)
        known = dataclasses.replace(known, roots={**known.roots, first: str(root)})
    runs_folder = Path(known.value("runs", runs).value).expanduser()
    cache_setting = known.value("cache", cache)
    place = _Place(
        known,
        Path(cache_setting.value).expanduser(),
        known.value("device", device).value,
        runs_folder / f"{paper}-{table}",
        may_extract,
    )
    used("paper", module.CITATION)
    used("cache", cache_setting)
    ours, faults = _ours(wanted, rows, place)
    say()
    rows_of = [(row.name, row.printed, ours.get(row.name)) for row in wanted.rows]
    compared = tables.comparison(wanted.title, wanted.metrics, rows_of, aggregate=wanted.aggregate)
    compared = dataclasses.replace(compared, notes=(*compared.notes, *wanted.notes))
    say(compared.text)
    for fault in faults:
        say(f"missing: {fault}")
    for path in compared.write(place.folder / table):
        used("written", str(path))


def _ours(table: Table, pattern: str | None, place: _Place) -> tuple[dict[str, Report], list[str]]:
    """Reports by row, and one line for each thing that is missing."""
    ours: dict[str, Report] = {}
    faults: dict[str, None] = {}
    for row in table.rows:
        if row.trial is None or (pattern and pattern.lower() not in row.name.lower()):
            continue
        try:
            ours[row.name] = _row(row, row.trial, place)
        except (EncoderError, MissingFeaturesError, _NotAtHand) as fault:
            faults[str(fault)] = None
    return ours, list(faults)


class _NotAtHand(SercacheError):
    """A corpus that nobody pointed to."""


def _row(row: Row, trial: Trial, place: _Place) -> Report:
    """Ours for one row: the kept run where there is one, else extraction and training."""
    module = catalog.load("heads", trial.head)
    folder = place.folder / re.sub(r"[^a-z0-9]+", "-", row.name.lower()).strip("-")
    if folder.exists():
        kept = run_folders.load(folder)
        if kept.recipe == dataclasses.asdict(module.RECIPE):
            used("kept", str(folder))
            return kept
        raise SettingsError(f"{folder} was trained with another recipe; remove it, or choose another --runs")
    for name in (trial.dataset, *(also.dataset for also in trial.also_train)):
        _check_at_hand(name, place)
    used("row", row.name)
    setup = dataclasses.replace(module.SETUP, encoder=trial.encoder, dataset=trial.dataset)
    corpus, store = _material(trial.dataset, setup, trial.head, place)
    extras = [_extra(also, setup, trial.head, place) for also in trial.also_train]
    report, weights = train(
        module,
        trial.head,
        corpus,
        store,
        setup=setup,
        published=setup,
        recipe=module.RECIPE,
        options={},
        device=settings.resolve_device(place.device),
        also_train=extras,
    )
    run_folders.save(report, folder, weights=weights)
    draw(report, folder)
    return report


def _check_at_hand(name: str, place: _Place) -> None:
    try:
        corpus_root(name, None, place.known, place.cache)
    except SettingsError:
        about = catalog.load("sercache.datasets", name).INFO
        raise _NotAtHand(
            f"{about.title}: get it from {about.access} ({about.licence}), then run: "
            f"sercache config roots.{name}=FOLDER"
        ) from None


def _material(
    name: str, setup: Setup, head: str, place: _Place, language: str | None = None
) -> tuple[Corpus, Path]:
    """A corpus and the store that serves it, extracted where it is missing and may be."""
    corpus, root = read_corpus(name, None, place.known, place.cache)
    try:
        folder = find_store(place.cache, corpus, setup, head, clip_is_chosen=True).folder
        if not place.may_extract or _is_complete(folder, corpus, setup.task, language):
            return corpus, folder
    except MissingFeaturesError as missing:
        if not place.may_extract:
            raise
        warn(str(missing).partition("; run:")[0] + "; extracting it now")
    extract.run(
        extract.Request(
            encoder=setup.encoder,
            dataset=name,
            root=Path(root.value),
            cache=place.cache,
            device=place.device,
            for_head=head,
            task=setup.task,
            language=language,
        )
    )
    return corpus, find_store(place.cache, corpus, setup, head, clip_is_chosen=True).folder


def _is_complete(folder: Path, corpus: Corpus, task: str | None, language: str | None) -> bool:
    """Whether the store has every utterance of the task, but for those whose audio cannot be encoded."""
    store = stores.open(folder)
    rule = clips.parse(store.spec.clip)
    held = {clips.utterance_id(entry, rule) for entry in store.ids()} | set(extraction.skips(folder))
    return all(u.id in held for u in extract.chosen_utterances(corpus, task, language))


def _extra(also: AlsoTrain, setup: Setup, head: str, place: _Place) -> Extra:
    there = dataclasses.replace(setup, dataset=also.dataset, task=also.task)
    corpus, store = _material(also.dataset, there, head, place, also.language)
    return Extra(corpus, stores.open(store), task=also.task, language=also.language)
