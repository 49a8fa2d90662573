"""`sercache datasets | encoders | heads`: what can be named."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path

from sercache import advice, catalog
from sercache import encoders as encoder_room
from sercache.commands.console import print_json, told
from sercache.experiment import catalogue as work
from sercache.experiment import new
from sercache.head import declared, is_solved
from sercache.layout import columns, filled, terminal_width
from sercache.progress import say, used
from sercache.published import described_options, text_and_code
from sercache.readings import variants

_LABEL = 10
"""Columns that the words before each line take."""


def datasets(name: str | None, *, as_json: bool = False) -> None:
    """List the corpora, or describe one. Raises UnknownNameError."""
    if as_json:
        named = [name] if name else catalog.names("sercache.datasets")
        found = {each: work.about_corpus(catalog.load("sercache.datasets", each).INFO) for each in named}
        print_json(found[name] if name else found)
        return
    if name is None:
        for line in columns(work.corpora(), right=(2, 3, 4), spare=3):
            say(line)
        say(f"one with its tasks and protocols: {advice.command('datasets', 'NAME')}")
        return
    about = catalog.load("sercache.datasets", name).INFO
    say(f"{name}: {about.title}")
    for label, text in work.about_corpus_in_words(about):
        _entry(label, text)
    say("expected tree:")
    say(textwrap.indent(textwrap.dedent(about.tree).strip("\n"), "  "))
    for section in (work.tasks_of(about), work.protocols_of(about), [("note", note) for note in about.notes]):
        say()
        for label, text in section:
            _entry(label, text)


def written(kind: new.Kind, name: str, folder: Path, *, as_json: bool) -> None:
    """Write the file of a new head, corpus or encoder, and say how to go on."""
    path = new.run(kind, name, folder)
    if as_json:
        print_json({"written": path, "next": new.next_steps(kind, path)})
        return
    used("written", path)
    for command in new.next_steps(kind, path):
        used("next", command)


def _entry(label: str, text: str) -> None:
    """One thing to know about a corpus, over as many lines as it takes."""
    for line in filled(text, terminal_width(), f"{label:<{_LABEL}}", " " * _LABEL):
        say(line)


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
    say(f"{card.name}: {card.source}")
    for label, text in work.about_encoder(card):
        _entry(label, text)


def heads(name: str | None, *, as_json: bool = False) -> None:
    """List the heads, or describe one. Raises UnknownNameError."""
    if as_json:
        named = [name] if name else catalog.names("sercache.heads")
        found = {each: work.about_head(catalog.load("sercache.heads", each)) for each in named}
        print_json(found[name] if name else found)
        return
    if name is None:
        for line in columns(work.heads(), spare=2):
            say(line)
        say(f"set-up, recipe and options of one: {advice.command('heads', 'NAME')}")
        return
    module = catalog.load("sercache.heads", name)
    _filled(f"{name}: {module.SOURCE}")
    for paragraph in inspect.cleandoc(module.__doc__ or "").split("\n\n"):
        _filled(" ".join(paragraph.split()))
        say()
    _table("published set-up (options of train):", work.settings_of(module.SETUP))
    if is_solved(module.Head):
        say("recipe: none, this head is solved, not trained")
    else:
        _table(
            "recipe (change with --set name=value; what is not here is sercache's default):",
            work.recipe_of(module),
        )
    if options := described_options(module):
        _filled("options of the head (change with --option name=value):")
        rows = [(f"  {k}", _written(each.default), each.takes, each.meaning) for k, each in options.items()]
        for line in columns([("  name", "default", "takes", "meaning"), *rows]):
            say(line)
    beside = text_and_code([name])
    if beside is not None:
        say()
        say(beside.render("text", terminal_width()))
        on_offer = variants(declared(module).readings)
        if on_offer:
            say(f"all of one side where they differ: --variant {' or '.join(on_offer)}")


def _table(title: str, rows: Sequence[tuple[str, object]]) -> None:
    """Names and values, in the words that options take: ``none``, lists with commas."""
    _filled(title)
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
