"""Corpora of one's own: what they are called, and how ``--dataset`` says which one is meant.

A reader whose ``INFO.own`` is true reads any corpus of its kind. Each of these has a name of its own: what a person
calls it. ``<reader>:<name>`` says both; the reader's name alone leaves the name to the corpus, which says it itself
or is called after where it lies.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sercache import advice, catalog
from sercache.claims import on_the_way
from sercache.datasets._corpus import Corpus
from sercache.errors import ContractError, CorpusError, UnknownNameError

_PACKAGE = "sercache.datasets"
_SEPARATORS = ":,="
"""Between the parts of an option or a setting."""
_LONGEST = 80
_PLAIN_TABLES = frozenset({
    "all", "annotations", "corpus", "data", "dataset", "filelist", "files", "index", "info", "label", "labels", "list",
    "main", "manifest", "meta", "metadata", "table", "train", "utterances",
})  # fmt: skip
"""Tables that are called so are named after their folder: their own names say nothing."""


@dataclass(frozen=True, slots=True)
class Named:
    """What ``--dataset`` says."""

    reader: str
    """As the catalogue takes it; empty where only the name of a corpus of one's own is said."""
    name: str
    """Empty where a corpus of one's own is to be called as it calls itself."""
    is_own: bool = True
    """Whether it is a corpus of one's own, which a reader takes by any name."""


def named(text: str) -> Named:
    """``emodb``, ``./my_corpus.py``, ``<reader>``, ``<reader>:<name>`` or ``<name>`` taken apart.

    Raises UnknownNameError for a name given to a corpus that has one, CorpusError for one that cannot be used,
    ContractError for a file that cannot be loaded.
    """
    reader, colon, name = text.partition(":")
    reader = catalog.absolute(reader)
    if not _is_reader(reader):
        if colon:
            raise UnknownNameError(
                catalog.unknown("reader of a corpus of your own", reader, sorted(readers()))
            )
        return Named("", normal(text))
    own = catalog.load(_PACKAGE, reader).INFO.own
    if not colon:
        return Named(reader, "" if own else catalog.shown(reader), own)
    if not own:
        raise UnknownNameError(
            f"{catalog.shown(reader)} is a corpus itself, got {text!r}; a name behind a colon goes with "
            f"{' or '.join(sorted(readers()))}"
        )
    return Named(reader, checked(name))


def split_task(text: str) -> tuple[str, str | None]:
    """``DATASET[:TASK]`` taken apart, where DATASET may be ``<reader>:<name>``."""
    first, _, rest = text.partition(":")
    if _is_reader(first) and rest and catalog.load(_PACKAGE, first).INFO.own:
        name, _, rest = rest.partition(":")
        first = f"{first}:{name}"
    return first, rest or None


def read(text: str, root: Path) -> Corpus:
    """The corpus that ``--dataset`` says, as it lies in ``root``.

    Raises CorpusError, UnknownNameError; ContractError for what a reader from outside sercache does wrong.
    """
    asked = named(text)
    with on_the_way(f"reading corpus {text} in {root}"):
        reader = asked.reader or reader_at(text, root)
        module = catalog.load(_PACKAGE, reader)
        corpus: Corpus = module.read(root, asked.name) if module.INFO.own else module.read(root)
    if not catalog.digest_of(module.__name__):
        return corpus
    return _from_outside(corpus, reader, module)


def _from_outside(corpus: Corpus, reader: str, module: ModuleType) -> Corpus:
    """The corpus of a reader that is not sercache's own, with what ``--dataset`` takes for it.

    Raises ContractError where it is called otherwise than its reader: nothing that is made of it could be found again.
    """
    name = catalog.shown(reader)
    if not isinstance(corpus, Corpus):
        raise ContractError(
            f"read of {name} gives {type(corpus).__name__}, expected a sercache.datasets.Corpus"
        )
    if (corpus.reader or corpus.name) != name:
        raise ContractError(
            f"the corpus that {reader} reads is called {corpus.reader or corpus.name!r}, expected {name!r} as its file "
            "is; give Corpus that name"
        )
    return dataclasses.replace(
        corpus,
        file=Path(reader) if catalog.is_file(reader) else None,
        reader_sha256=catalog.digest_of(module.__name__),
    )


def readers() -> dict[str, ModuleType]:
    """The readers of corpora of one's own, by name."""
    found = {name: catalog.load(_PACKAGE, name) for name in catalog.names(_PACKAGE)}
    return {name: module for name, module in found.items() if module.INFO.own}


def writers() -> dict[str, ModuleType]:
    """Those of ``readers`` that write their format too."""
    return {name: module for name, module in readers().items() if hasattr(module, "write")}


def reader_at(text: str, root: Path) -> str:
    """The reader of a corpus of one's own that takes what lies at ``root``.

    Raises UnknownNameError where none or several do.
    """
    able = sorted(name for name, module in readers().items() if module.holds(root))
    if len(able) == 1:
        return able[0]
    if able:
        ways = " or ".join(f"--dataset {name}:{text}" for name in able)
        raise UnknownNameError(f"{root} can be read in several ways; write {ways}")
    raise UnknownNameError(unknown(text, ()))


def unknown(text: str, known: Iterable[str]) -> str:
    """One line for ``--dataset TEXT`` that nobody knows; ``known`` are names of corpora of one's own."""
    on_offer = [*catalog.names(_PACKAGE), *sorted(known)]
    return f"{catalog.unknown('dataset', text, on_offer)}; a table of your own: --dataset manifest:NAME --root FILE"


def normal(name: str) -> str:
    """A name as names are compared: composed letters (NFC), one space between words."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def checked(name: str) -> str:
    """A name that a person gave, normalised.

    Raises CorpusError for one that is none, or that a corpus with a reader has.
    """
    tidy = normal(name)
    if (
        not tidy
        or not tidy.isprintable()
        or set(_SEPARATORS) & set(tidy)
        or tidy[0] in "-."
        or len(tidy) > _LONGEST
    ):
        raise CorpusError(
            f"a corpus is called by at most {_LONGEST} letters without : , or = and does not begin with - or ., "
            f"got {name!r}"
        )
    if _is_taken(tidy):
        raise CorpusError(
            f"{tidy} is a corpus that sercache reads by itself (`{advice.command('datasets')}` lists these); call "
            f"yours otherwise, for example my-{catalog.file_name(tidy)}"
        )
    return tidy


def fitted(name: str, reader: str) -> str:
    """A name that was found, made one that can be used: ``emodb`` of a manifest becomes ``emodb-manifest``."""
    tidy = normal("".join(letter if letter.isprintable() else " " for letter in name))
    tidy = re.sub(f"[{_SEPARATORS}]+", "-", tidy).lstrip("-. ")[:_LONGEST].rstrip()
    if not tidy:
        return f"my-{reader}"
    return f"{tidy}-{reader}" if _is_taken(tidy) else tidy


def of_table(table: Path) -> str:
    """What a corpus is called after where its table lies: the table's name, or that of its folder."""
    place = table.absolute()
    return place.parent.name if place.stem.lower() in _PLAIN_TABLES else place.stem


def _is_reader(name: str) -> bool:
    """Whether the catalogue has a corpus or reader of this name, or it is the path of a file."""
    return catalog.is_file(name) or name in catalog.names(_PACKAGE)


def _is_taken(name: str) -> bool:
    """Whether a corpus with a reader is called so, whatever the case."""
    return re.sub(r"[\s_]", "-", name.casefold()) in catalog.names(_PACKAGE)
