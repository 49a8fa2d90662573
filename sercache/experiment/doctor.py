"""`sercache doctor`: a check-up of a copy of a corpus, as it lies where a corpus of this name is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sercache import checkup, datasets, settings
from sercache.checkup import CheckUp
from sercache.datasets import Corpus
from sercache.experiment.corpora import as_extracted, cache_if_any, locate
from sercache.progress import bar


@dataclass(frozen=True)
class DoctorOptions:
    """The options of one call."""

    dataset: str
    root: Path | None = None
    task: str | None = None
    """The copy is meant to hold only what this task labels."""
    deep: bool = False


def check(request: DoctorOptions, corpus: Corpus | None = None) -> CheckUp:
    """The state of the copy; a ``corpus`` in memory takes the place of its name. Raises CorpusError, SettingsError."""
    if corpus is None:
        known = settings.load()
        cache = cache_if_any(known)
        text, root = locate(request.dataset, request.root, known, cache)
        folder = Path(root.value).expanduser()
        with as_extracted(folder, cache):
            corpus = datasets.read(text, folder)
    corpus.check_recordings()
    if request.task is not None:
        corpus = checkup.part(corpus, request.task)
    n_files = len({u.path for u in corpus.utterances})
    with bar(total=n_files, unit=" files", desc="decoding" if request.deep else "headers") as shown:
        return checkup.check_up(corpus, deep=request.deep, progress=shown.update)
