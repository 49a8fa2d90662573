"""What `sercache datasets NAME` and `sercache heads NAME` tell: tasks and protocols, and what a paper fixed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from sercache import catalog, encoders, files
from sercache.datasets import CorpusInfo
from sercache.encoders import EncoderCard
from sercache.errors import SettingsError
from sercache.head import declared, is_solved
from sercache.progress import used
from sercache.protocols import DEVS, PROTOCOLS
from sercache.published import described_options
from sercache.recipe import Recipe
from sercache.trained_on import SeenCorpus
from sercache.units import listed, size

_CLASSES = 12
"""Classes of a task that are named."""
_ALWAYS = ("loss", "optimiser", "lr", "batch_size", "max_epochs")
"""Fields of a recipe that are shown also where they are the default."""


def write_example(name: str, folder: Path) -> None:
    """Write the small example that a corpus brings of itself, whole or not at all.

    Raises SettingsError where something lies there, FileError, UnknownNameError.
    """
    module = catalog.load("sercache.datasets", name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"--example {folder} holds something already; name a new folder")
    with files.new_folder(folder) as made:
        inside = module.example(made).relative_to(made)
    used("written", f"a small {catalog.shown(name)} of tones: --dataset {name} --root {folder / inside}")
    used(
        "",
        "its ids may be those of real recordings, which one store cannot tell apart: give it a --cache of its own",
    )


def corpora() -> list[tuple[object, ...]]:
    """A row for each corpus, after a heading."""
    rows: list[tuple[object, ...]] = [
        ("name", "language", "speakers", "hours", "classes", "corpus", "licence", "access")
    ]
    for name in catalog.names("sercache.datasets"):
        about: CorpusInfo = catalog.load("sercache.datasets", name).INFO
        n_classes = len(set(about.tasks[about.default_task].values())) or "-"
        known = (about.language, _or_dash(about.n_speakers), _or_dash(about.hours), n_classes)
        rows.append((name, *known, about.title, about.licence, about.access))
    return rows


def heads() -> list[tuple[object, ...]]:
    """A row for each head, after a heading."""
    rows: list[tuple[object, ...]] = [("name", "encoder", "corpus", "source", "protocol")]
    for name in catalog.names("sercache.heads"):
        module = catalog.load("sercache.heads", name)
        setup = module.SETUP
        rows.append((name, setup.encoder, setup.dataset, citation(module.SOURCE), setup.protocol))
    return rows


def known_encoders() -> list[tuple[object, ...]]:
    """A row for each encoder that has a short name, after a heading."""
    known = sorted(encoders.short_names().items())
    return [("name", "source", "family"), *((name, source, family) for name, (family, source) in known)]


def about_corpus_in_words(about: CorpusInfo) -> Iterator[tuple[str, str]]:
    """What is to be known of a corpus before it is asked for."""
    yield "language", about.language
    yield "speakers", str(_or_dash(about.n_speakers))
    yield "hours", str(_or_dash(about.hours))
    yield "licence", about.licence
    yield "copying", copying(about)
    yield "access", about.access


def _or_dash(value: object) -> object:
    return "-" if value is None else value


def tasks_of(about: CorpusInfo) -> Iterator[tuple[str, str]]:
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


def protocols_of(about: CorpusInfo) -> Iterator[tuple[str, str]]:
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


def about_encoder(card: EncoderCard) -> Iterator[tuple[str, str]]:
    """Size, licence and training of one encoder; what is not known without its files is left out."""
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
        *_known(card.seen),
        ("licence", card.licence),
        ("note", card.note),
        ("also", " ".join(card.aliases)),
    ):
        if text:
            yield label, text


def _known(seen: Sequence[SeenCorpus]) -> Iterator[tuple[str, str]]:
    """Corpora of emotional speech that an encoder was trained on, those that it knows in one way in a line."""
    for how in dict.fromkeys(each.how for each in seen):
        yield "seen", f"{', '.join(each.corpus for each in seen if each.how == how)}: {how}"


def copying(about: CorpusInfo) -> str:
    """The identifier of a corpus' licence, and whether pages may have its sound."""
    may = {
        True: "clips may be copied",
        False: "clips may not be copied",
        None: "whether clips may be copied is not known",
    }
    return f"{about.licence_id or 'no licence identifier'}: {may[about.clips_may_be_copied]}"


def about_corpus(about: CorpusInfo) -> dict[str, object]:
    """What programs are told of a corpus."""
    return dict(settings_of(about)) | {"clips_may_be_copied": about.clips_may_be_copied}


def about_encoders() -> dict[str, object]:
    """What programs are told of the encoders that have short names, by name."""
    return {
        name: {"source": source, "family": family, **encoders.remarks(family)}
        for name, (family, source) in sorted(encoders.short_names().items())
    }


def about_head(module: ModuleType) -> dict[str, object]:
    """What programs are told of a head."""
    return {
        "source": module.SOURCE,
        "about": inspect.cleandoc(module.__doc__ or ""),
        "setup": module.SETUP,
        "recipe": None if is_solved(module.Head) else module.RECIPE,
        "options": described_options(module),
        "readings": declared(module).readings,
    }


def paragraphs_of(module: ModuleType) -> list[str]:
    """What a head's file says of it, a line for each paragraph."""
    return [" ".join(each.split()) for each in inspect.cleandoc(module.__doc__ or "").split("\n\n")]


def tables_of(module: ModuleType) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """What a head is published with and what may be changed of it: titles, and rows in the words that options take."""
    yield "published set-up (options of train):", _written(settings_of(module.SETUP))
    if is_solved(module.Head):
        yield "recipe: none, this head is solved, not trained", []
    else:
        title = "recipe (change with --set name=value; what is not here is sercache's default):"
        yield title, _written(recipe_of(module))
    if options := described_options(module):
        rows = [(name, each.default, each.takes, each.meaning) for name, each in options.items()]
        title = "options of the head (change with --option name=value):"
        yield title, [("name", "default", "takes", "meaning"), *_written(rows)]


def _written(rows: Sequence[tuple[object, ...]]) -> list[tuple[str, ...]]:
    """Values as options take them: ``none``, lists with commas."""
    return [tuple(map(_as_option, row)) for row in rows]


def _as_option(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def citation(source: str) -> str:
    """A citation without its title: authors, year, and which system of the paper."""
    found = re.match(r"(.+? \d{4}), .*?(\([^()]*\))?$", source)
    return " ".join(filter(None, found.groups())) if found else source


def settings_of(record: Any) -> list[tuple[str, object]]:
    """Names and values of a set-up's fields."""
    return [(field.name, getattr(record, field.name)) for field in fields(record)]


def recipe_of(module: ModuleType) -> list[tuple[str, object]]:
    """Names and values of a recipe's fields that tell it from the plain one, and of the first that one asks for."""
    recipe, plain = module.RECIPE, Recipe()
    return [
        (field, value)
        for field, value in settings_of(recipe)
        if getattr(recipe, field) != getattr(plain, field) or field in _ALWAYS
    ]
