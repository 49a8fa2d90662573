"""The table of a store's corpus: written beside the recordings, read where there are none."""

from __future__ import annotations

from pathlib import Path

from sercache import datasets, stores
from sercache.datasets import Corpus
from sercache.errors import SercacheError, StoreError
from sercache.progress import warn
from sercache.stores import Damage


def write(folder: Path, corpus: Corpus, texts: bool | None = None) -> bool:
    """Keep all that is known of a corpus but its recordings beside the features; whether anything was new.

    Transcripts stand in it as digests, with ``texts`` as they are; None: as they stood. A table that cannot be
    written is told and costs nothing else.
    """
    if texts is None:
        texts = _holds_texts(folder)
    try:
        return stores.write_corpus(folder, lambda: datasets.to_values(corpus, texts=texts))
    except (SercacheError, ValueError, TypeError) as fault:
        warn(f"the labels of {corpus.name} are not kept beside its features: {fault}")
        return False


def read(folder: Path) -> Corpus:
    """The corpus of a store by its table. Raises StoreError where there is none, DamagedStoreError, CorpusError."""
    corpus, spec = datasets.from_values(stores.read_corpus(folder), folder), stores.read_spec(folder)
    if not corpus.goes_by(spec.corpus, spec.release):
        raise StoreError(
            f"{folder} holds features of {spec.corpus} {spec.release} and the table of {corpus.name} {corpus.release}; "
            "get the store again"
        )
    return corpus


def tables_of(name: str, cache: Path | None) -> list[tuple[Path, str]]:
    """Stores of the cache with a table of the corpus of this name, and its release in each."""
    if cache is None or not name:
        return []
    return [
        (folder, spec.release)
        for folder, spec in stores.find(cache)
        if spec.corpus == name and stores.has_corpus(folder)
    ]


def damage(folder: Path) -> list[Damage]:
    """What is wrong with a table whose bytes are those that were written: somebody made it up."""
    try:
        read(folder)
    except SercacheError as fault:
        return [Damage("", stores.corpus_path(folder), str(fault), "note")]
    return []


def transcript_digests(folder: Path) -> dict[str, str]:
    """By id, what tells whether two utterances say the same words, where the table of a store does not say which."""
    read(folder)  # which checks it
    return datasets.transcript_digests(stores.read_corpus(folder))


def _holds_texts(folder: Path) -> bool:
    try:
        return datasets.holds_texts(stores.read_corpus(folder))
    except (SercacheError, LookupError, TypeError, StopIteration):  # it is written anew
        return False
