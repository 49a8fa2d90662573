"""`sercache info | datasets | encoders | heads`: what there is."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sercache import advice, catalog, files, settings, stores
from sercache import encoders as encoder_room
from sercache.commands.console import columns
from sercache.datasets import CorpusInfo
from sercache.errors import DamagedStoreError, SercacheError, SettingsError, StoreError
from sercache.experiment.origin import extract_command, known_origin
from sercache.extraction import skips, training_record
from sercache.head import is_solved
from sercache.layout import filled, terminal_width
from sercache.progress import say, used, warn
from sercache.protocols import DEVS, PROTOCOLS
from sercache.published import head_defaults
from sercache.recipe import Recipe
from sercache.units import duration, listed, size

_LABEL = 10
"""Columns that the words before each line take."""
_CLASSES = 12
"""Classes of a task that are named."""


def info(folders: Sequence[Path], cache_flag: Path | None) -> None:
    """List the stores of the cache, or describe those named.

    Those that cannot be opened are listed with the reason, and then a StoreError is raised.
    """
    if folders:
        faults = [fault for folder in folders if (fault := _fault_of(partial(_describe_store, folder)))]
        _complain(faults, len(folders))
        return
    cache = settings.load().value("cache", cache_flag)
    used("cache", cache)
    found = stores.find_all(Path(cache.value).expanduser())
    if not found:
        say(
            f"no stores yet; make one with: {advice.command('extract', encoder='demo-wavlm', dataset='demo')}"
        )
        return
    rows: list[tuple[object, ...]] = [
        ("corpus", "encoder", "states", "kept", "clip", "entries", "audio", "disk", "folder")
    ]
    faults = []
    for folder, spec in found:
        fault = spec if isinstance(spec, SercacheError) else _fault_of(partial(_add_row, rows, folder))
        faults += [fault] if fault else []
    for line in columns(rows, right=(5, 6, 7), below=8) if len(rows) > 1 else ():
        say(line)
    _complain(faults, len(found))


def _add_row(rows: list[tuple[object, ...]], folder: Path) -> None:
    """Add a store of the cache to the list."""
    store = stores.open(folder)
    spec, entries = store.spec, store.entries().values()
    seconds = sum(entry.n_samples for entry in entries) / spec.sample_rate
    kind = f"{spec.dtype} frames" if spec.frames else "pooled"
    length = "-" if spec.is_text else duration(seconds)
    shape = f"{len(spec.states)} x {spec.dim}"
    disk = size(folder_bytes(folder))
    rows.append((spec.corpus, spec.shown, shape, kind, spec.clip, len(entries), length, disk, folder))


def _fault_of(job: Callable[[], object]) -> SercacheError | None:
    """Why a job was refused, or None."""
    try:
        job()
    except SercacheError as fault:
        return fault
    return None


def _complain(faults: Sequence[SercacheError], n_stores: int) -> None:
    """List what cannot be opened. Raises StoreError where there is any; alone it is the error itself."""
    if faults and n_stores == 1:
        raise faults[0]
    for fault in faults:
        say(f"cannot be opened: {fault}")
    if faults:
        raise StoreError(
            f"{len(faults)} of {n_stores} stores cannot be opened; the lines above say why, and what to do"
        )


def folder_bytes(folder: Path) -> int:
    """Bytes that the files below ``folder`` take on disk; holes in sparse files do not count."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _describe_store(folder: Path) -> None:
    store = stores.open(folder)
    spec = store.spec
    entries = store.entries()
    seconds = sum(entry.n_samples for entry in entries.values()) / spec.sample_rate
    used("store", str(folder))
    used("digest", spec.digest)
    used("corpus", f"{spec.corpus} {spec.release}".rstrip())
    used("encoder", spec.shown)
    for key, value in spec.identity.items():
        used("", f"{key}: {value}")
    try:
        if trained := training_record(store):
            used("", str(trained))
    except DamagedStoreError as fault:  # the last line shows the command that mends it
        warn(str(fault))
    used("states", " ".join(spec.states))
    rate = "word pieces" if spec.is_text else f"{spec.sample_rate / spec.hop:g} frames/s"
    used("shape", f"D = {spec.dim}, {rate}, {spec.dtype}, clip {spec.clip}")
    length = "" if spec.is_text else f"{duration(seconds)} of audio, "
    used("entries", f"{len(entries)}, {length}{sum(e.n_frames for e in entries.values())} frames")
    if spec.is_text:
        used(
            "text",
            f"of a file, digest {spec.transcripts}" if spec.transcripts else "the corpus' own transcripts",
        )
    used("disk", size(folder_bytes(folder)))
    for entry_id, reason in skips(folder).items():
        used("skipped", f"{entry_id}: {reason}")
    origin = known_origin(folder)
    if origin:
        used("made by", f"encoder {origin['encoder']}, root {origin['root']}")
        used("continue", extract_command(folder))


def datasets(name: str | None) -> None:
    """List the corpora, or describe one. Raises UnknownNameError."""
    if name is None:
        heading = ("name", "language", "speakers", "hours", "classes", "corpus", "licence", "access")
        rows: list[tuple[object, ...]] = [heading]
        for each in catalog.names("sercache.datasets"):
            about: CorpusInfo = catalog.load("sercache.datasets", each).INFO
            n_classes = len(set(about.tasks[about.default_task].values())) or "-"
            known = (about.language, _or_dash(about.n_speakers), _or_dash(about.hours), n_classes)
            rows.append((each, *known, about.title, about.licence, about.access))
        for line in columns(rows, right=(2, 3, 4), spare=3):
            say(line)
        say(f"one with its tasks and protocols: {advice.command('datasets', 'NAME')}")
        return
    about = catalog.load("sercache.datasets", name).INFO
    say(f"{name}: {about.title}")
    for label, value in (
        ("language", about.language),
        ("speakers", _or_dash(about.n_speakers)),
        ("hours", _or_dash(about.hours)),
        ("licence", about.licence),
        ("access", about.access),
    ):
        _entry(label, str(value))
    say("expected tree:")
    say(textwrap.indent(textwrap.dedent(about.tree).strip("\n"), "  "))
    for section in (_tasks(about), _protocols(about), [("note", note) for note in about.notes]):
        say()
        for label, text in section:
            _entry(label, text)


def write_example(name: str, folder: Path) -> None:
    """Write the small example that a corpus brings of itself, whole or not at all.

    Raises SettingsError where something lies there, FileError, UnknownNameError.
    """
    module = catalog.load("sercache.datasets", name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"--example {folder} holds something already; name a new folder")
    with files.new_folder(folder) as work:
        inside = module.example(work).relative_to(work)
    used("written", f"a small {catalog.shown(name)} of tones: --dataset {name} --root {folder / inside}")


def _tasks(about: CorpusInfo) -> Iterator[tuple[str, str]]:
    """What ``--task`` takes for a corpus."""
    for task, label_map in about.tasks.items():
        mark = " (default)" if task == about.default_task else ""
        names = sorted(set(label_map.values()))
        shown = listed(names, _CLASSES)
        yield "task", f"{task}{mark}: {shown or 'the labels of the copy'}"
    if about.attribute_range is not None:
        low, high = about.attribute_range
        yield "task", f"avd: arousal, valence, dominance from 0 to 1; published from {low:g} to {high:g}"
    if about.shares:
        yield "task", f"shares: {about.shares}"
    yield "task", "<file>.toml: your own label map, a table [labels] with lines raw label = class"
    widest = max(about.tasks.values(), key=len)
    raw = {**dict.fromkeys(about.expected_counts, "in no class"), **widest}
    if 0 < len(raw) <= 2 * _CLASSES:
        yield "labels", "raw labels: " + ", ".join(f"{label} ({name})" for label, name in sorted(raw.items()))
    for subset, each in about.subsets.items():
        yield "subset", f"<task>@{subset}: {each.description}"
    rows = {each.task: each.rows for each in about.published}
    for setup, task in about.setups.items():
        yield "setup", f"{setup}: {task}" + (f", {rows[task]} utterances" if task in rows else "")


def _protocols(about: CorpusInfo) -> Iterator[tuple[str, str]]:
    """What ``--protocol`` and ``--dev`` take for a corpus."""
    named: dict[str, str] = {}
    for folds, groups in about.folds.items():
        sizes = sorted({len(who) for who in groups.values()})
        each = "-".join(str(n) for n in dict.fromkeys((sizes[0], sizes[-1])))
        named[f"folds:{folds}"] = f": {len(groups)} folds, {each} test speakers each"
    for split, parts in about.splits.items():
        named[f"fixed:{split}"] = ": " + ", ".join(
            f"{part} {len(who)} speakers" for part, who in parts.items()
        )
    if about.official:
        named["fixed:official"] = f": {about.official}"
        named["fixed:dev"] = f": {PROTOCOLS['fixed:dev']}"
    for protocol, text in ({about.default_protocol: ""} | named).items():
        mark = " (default)" if protocol == about.default_protocol else ""
        yield "protocol", protocol + mark + text
    yield (
        "others",
        ", ".join(p for p in PROTOCOLS if not p.startswith(("folds", "fixed:<name>", "fixed:dev"))),
    )
    yield "dev", ", ".join(DEVS)


def _entry(label: str, text: str) -> None:
    """One thing to know about a corpus, over as many lines as it takes."""
    for line in filled(text, terminal_width(), f"{label:<{_LABEL}}", " " * _LABEL):
        say(line)


def _or_dash(value: object) -> object:
    return "-" if value is None else value


def encoders(name: str | None) -> None:
    """List the short names, or say what one stands for. Raises UnknownNameError."""
    known = encoder_room.short_names() if name is None else encoder_room.named(name)
    rows: list[tuple[str, str, str]] = [("name", "source", "family")]
    rows += [(each, source, family) for each, (family, source) in sorted(known.items())]
    for line in columns(rows, spare=1):
        say(line)
    if name is None:
        _filled(
            "a Hugging Face id or a local folder of these families works too: --encoder org/name, --encoder folder"
        )
        return
    [(family, _)] = known.values()
    for what, text in encoder_room.remarks(family).items():
        used(what, text)


def heads(name: str | None) -> None:
    """List the heads, or describe one. Raises UnknownNameError."""
    if name is None:
        rows = [("name", "encoder", "corpus", "source", "protocol")]
        for each in catalog.names("sercache.heads"):
            module = catalog.load("sercache.heads", each)
            setup = module.SETUP
            rows.append((each, setup.encoder, setup.dataset, _short(module.SOURCE), setup.protocol))
        for line in columns(rows, spare=2):
            say(line)
        say(f"set-up, recipe and options of one: {advice.command('heads', 'NAME')}")
        return
    module = catalog.load("sercache.heads", name)
    _filled(f"{name}: {module.SOURCE}")
    for paragraph in inspect.cleandoc(module.__doc__ or "").split("\n\n"):
        _filled(" ".join(paragraph.split()))
        say()
    _table("published set-up (options of train):", _settings(module.SETUP))
    recipe, plain = module.RECIPE, Recipe()
    changed = [
        (field, value)
        for field, value in _settings(recipe)
        if getattr(recipe, field) != getattr(plain, field) or field in _ALWAYS
    ]
    if is_solved(module.Head):
        say("recipe: none, this head is solved, not trained")
    else:
        _table("recipe (change with --set name=value; what is not here is sercache's default):", changed)
    options = head_defaults(module)
    if options:
        _table("options of the head (change with --option name=value):", list(options.items()))


_ALWAYS = ("loss", "optimiser", "lr", "batch_size", "max_epochs")
"""Fields of a recipe that are shown also where they are the default."""


def _short(source: str) -> str:
    """A citation without its title: authors, year, and which system of the paper."""
    found = re.match(r"(.+? \d{4}), .*?(\([^()]*\))?$", source)
    return " ".join(filter(None, found.groups())) if found else source


def _settings(record: Any) -> list[tuple[str, object]]:
    return [(field.name, getattr(record, field.name)) for field in dataclasses.fields(record)]


def _table(title: str, rows: Sequence[tuple[str, object]]) -> None:
    """Names and values, in the words that options take: ``none``, lists with commas."""
    say(title)
    for line in columns([(f"  {name}", _written(value)) for name, value in rows]):
        say(line)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _filled(text: str) -> None:
    """A paragraph, wrapped to the terminal."""
    for line in filled(text, terminal_width()):
        say(line)
