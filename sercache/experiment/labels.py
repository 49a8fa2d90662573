"""Labels for what needs no recordings: of a corpus as it lies here, or else by the table that a store carries."""

from __future__ import annotations

from pathlib import Path

from sercache import datasets, stores
from sercache.datasets import Corpus
from sercache.errors import NotAtHandError, SettingsError, UnknownNameError
from sercache.experiment import corpus_table
from sercache.experiment.corpora import locate, read_corpus, tell
from sercache.settings import Settings


def read_labels(
    dataset: str | None, flag: Path | None, known: Settings, cache: Path | None, store: Path | None = None
) -> Corpus:
    """The corpus for what needs no recordings: where these are not at hand, as the table of a store has it.

    ``store`` is the one that is read, if it was named; without ``dataset`` its corpus is meant. Says as
    ``read_corpus``, and raises so; StoreError for a table that cannot be read.
    """
    if store is not None:
        dataset = dataset or stores.read_spec(store).corpus
    wanted = str(dataset)
    if flag is not None or _is_at_hand(wanted, known, cache):
        return read_corpus(wanted, flag, known, cache)[0]
    table = (
        _table_of(datasets.named(wanted), cache)
        if store is None
        else _table_in(store, datasets.named(wanted))
    )
    if table is None:
        return read_corpus(wanted, flag, known, cache)[0]  # which says what is missing
    corpus = corpus_table.read(table)
    tell(corpus, f"by the table of {table}, without recordings")
    return corpus


def _is_at_hand(dataset: str, known: Settings, cache: Path | None) -> bool:
    """Whether the folder that somebody said, or the last extraction read, is there."""
    try:
        _, root = locate(dataset, None, known, cache)
    except (NotAtHandError, UnknownNameError):
        return False
    return Path(root.value).expanduser().exists()


def _table_in(store: Path, asked: datasets.Named) -> Path | None:
    """The store itself, where it has a table of the corpus that is asked for."""
    is_its = stores.read_spec(store).corpus == (asked.name or asked.reader)
    return store if is_its and stores.has_corpus(store) else None


def _table_of(asked: datasets.Named, cache: Path | None) -> Path | None:
    """The store of the cache that was told last what the corpus of this name holds; None where none was.

    Raises SettingsError where the cache has tables of several releases.
    """
    found = corpus_table.tables_of(asked.name, cache)
    if len({release for _, release in found}) > 1:
        raise SettingsError(
            f"the cache has the labels of {asked.name} in several releases and its recordings are not at hand; choose "
            f"one with --store: {', '.join(str(folder) for folder, _ in found)}"
        )
    return max((folder for folder, _ in found), key=_told, default=None)


def _told(store: Path) -> float:
    return stores.corpus_path(store).stat().st_mtime
