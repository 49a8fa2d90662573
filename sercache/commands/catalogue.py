"""`sercache datasets | encoders | heads`: what can be named."""

from __future__ import annotations

import textwrap
from pathlib import Path

from sercache import advice, catalog
from sercache import encoders as encoder_room
from sercache.commands.console import print_json, say_filled, say_rows, told
from sercache.experiment import catalogue as work
from sercache.experiment import new
from sercache.head import declared
from sercache.layout import terminal_width
from sercache.progress import say, used
from sercache.published import text_and_code
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
        say_rows(work.corpora(), right=(2, 3, 4), spare=3)
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
    say_filled(text, f"{label:<{_LABEL}}")


def encoders(name: str | None, *, as_json: bool = False) -> None:
    """List the short names, or show one, a file or a folder. Raises UnknownNameError, EncoderError."""
    if name is not None:
        told(encoder_room.card(name), _encoder, as_json)
        return
    if as_json:
        print_json(work.about_encoders())
        return
    say_rows(work.known_encoders(), spare=1)
    say_filled(
        "a Hugging Face id or a local folder of these families works too: --encoder org/name, --encoder folder"
    )
    say_filled(f"one with its size, licence and what it was trained on: {advice.command('encoders', 'NAME')}")


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
        say_rows(work.heads(), spare=2)
        say(f"set-up, recipe and options of one: {advice.command('heads', 'NAME')}")
        return
    module = catalog.load("sercache.heads", name)
    say_filled(f"{name}: {module.SOURCE}")
    for paragraph in work.paragraphs_of(module):
        say_filled(paragraph)
        say()
    for title, rows in work.tables_of(module):
        say_filled(title)
        say_rows([(f"  {first}", *rest) for first, *rest in rows])
    beside = text_and_code([name])
    if beside is not None:
        say()
        say(beside.render("text", terminal_width()))
        on_offer = variants(declared(module).readings)
        if on_offer:
            say(f"all of one side where they differ: --variant {' or '.join(on_offer)}")
