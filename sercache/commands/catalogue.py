"""`sercache datasets | encoders | heads`: what can be named."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sercache import advice, catalog, files
from sercache import encoders as encoder_room
from sercache.commands.console import columns, print_json, told
from sercache.datasets import CorpusInfo
from sercache.errors import SettingsError
from sercache.experiment import new
from sercache.head import declared, is_solved
from sercache.layout import filled, terminal_width
from sercache.progress import say, used
from sercache.protocols import DEVS, PROTOCOLS
from sercache.published import described_options, text_and_code
from sercache.readings import variants
from sercache.recipe import Recipe
from sercache.units import listed, size

_LABEL = 10
"""Columns that the words before each line take."""
_CLASSES = 12
"""Classes of a task that are named."""


def datasets(name: str | None, *, as_json: bool = False) -> None:
    """List the corpora, or describe one. Raises UnknownNameError."""
    if as_json:
        named = [name] if name else catalog.names("sercache.datasets")
        found = {each: catalog.load("sercache.datasets", each).INFO for each in named}
        print_json(found[name] if name else found)
        return
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


def written(kind: new.Kind, name: str, folder: Path, *, as_json: bool) -> None:
    """Write the file of a new head, corpus or encoder, and say how to go on."""
    path = new.run(kind, name, folder)
    if as_json:
        print_json({"written": path, "next": new.next_steps(kind, path)})
        return
    used("written", path)
    for command in new.next_steps(kind, path):
        used("next", command)


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


def encoders(name: str | None, *, as_json: bool = False) -> None:
    """List the short names, or show one, a file or a folder. Raises UnknownNameError, EncoderError."""
    if name is not None:
        told(encoder_room.card(name), _encoder, as_json)
        return
    known = sorted(encoder_room.short_names().items())
    if as_json:
        print_json(
            {
                each: {"source": source, "family": family, **encoder_room.remarks(family)}
                for each, (family, source) in known
            }
        )
        return
    rows = [("name", "source", "family"), *((each, source, family) for each, (family, source) in known)]
    for line in columns(rows, spare=1):
        say(line)
    _filled(
        "a Hugging Face id or a local folder of these families works too: --encoder org/name, --encoder folder"
    )
    _filled(f"one with its size, licence and what it was trained on: {advice.command('encoders', 'NAME')}")


def _encoder(card: encoder_room.EncoderCard) -> None:
    """Size, licence and training of one encoder; what is not known without its files is left out."""
    say(f"{card.name}: {card.source}")
    n = card.n_parameters
    for label, text in (
        ("family", card.family),
        ("blocks", None if card.n_blocks is None else f"{card.n_blocks} of {card.dim} dimensions"),
        ("frames", None if card.n_blocks is not None or card.dim is None else f"{card.dim} dimensions"),
        (
            "size",
            None if n is None else f"{n / 1e6:.1f} million parameters, {size(card.n_bytes or 0)} in float32",
        ),
        ("trained", card.trained_on and f"on {card.trained_on}"),
        ("licence", card.licence),
        ("note", card.note),
    ):
        if text:
            _entry(label, text)


def heads(name: str | None, *, as_json: bool = False) -> None:
    """List the heads, or describe one. Raises UnknownNameError."""
    if as_json:
        named = [name] if name else catalog.names("sercache.heads")
        found = {each: _head(catalog.load("sercache.heads", each)) for each in named}
        print_json(found[name] if name else found)
        return
    if name is None:
        listing = [("name", "encoder", "corpus", "source", "protocol")]
        for each in catalog.names("sercache.heads"):
            module = catalog.load("sercache.heads", each)
            setup = module.SETUP
            listing.append((each, setup.encoder, setup.dataset, _short(module.SOURCE), setup.protocol))
        for line in columns(listing, spare=2):
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
    if options := described_options(module):
        say("options of the head (change with --option name=value):")
        rows = [("  name", "default", "takes", "meaning")]
        rows += [(f"  {k}", _written(each.default), each.takes, each.meaning) for k, each in options.items()]
        for line in columns(rows):
            say(line)
    beside = text_and_code([name])
    if beside is not None:
        say()
        say(beside.render("text", terminal_width()))
        on_offer = variants(declared(module).readings)
        if on_offer:
            say(f"all of one side where they differ: --variant {' or '.join(on_offer)}")


def _head(module: Any) -> dict[str, object]:
    """What ``--json`` says of a head."""
    return {
        "source": module.SOURCE,
        "about": inspect.cleandoc(module.__doc__ or ""),
        "setup": module.SETUP,
        "recipe": None if is_solved(module.Head) else module.RECIPE,
        "options": described_options(module),
        "readings": declared(module).readings,
    }


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
