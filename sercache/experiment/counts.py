"""`sercache datasets NAME --counts`: how many utterances a corpus has by session, sex and class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sercache import settings
from sercache.datasets import Corpus, Utterance
from sercache.errors import SettingsError
from sercache.experiment.corpora import cache_if_any, read_corpus
from sercache.progress import used

_MOST_CLASSES = 20
"""Side by side; more are counted one below the other, by sex alone."""
_MOST_GROUPS = 40
NAMED = ("session", "sex", "class")
"""Headings of columns that hold no numbers."""


def run(name: str, root: Path | None, task: str | None) -> list[tuple[object, ...]]:
    """The counts of the corpus as it lies on disk (Park et al. 2023, Figure 4, shows those of IEMOCAP), as rows.

    Raises SettingsError for a task that gives numbers, CorpusError, UnknownNameError.
    """
    known = settings.load()
    corpus, _ = read_corpus(name, root, known, cache_if_any(known))
    if corpus.is_numeric(task):
        raise SettingsError(
            f"task {corpus.task_name(task)} of {name} gives numbers, which have no counts; choose another --task"
        )
    used("task", corpus.task_name(task))
    return counted(corpus, corpus.labels(task))


def counted(corpus: Corpus, labels: Mapping[str, str]) -> list[tuple[object, ...]]:
    """A heading, a row for each session and sex with a number for each class, and the sums."""
    known = corpus.by_id()
    told = [(known[id], label) for id, label in labels.items()]
    classes = sorted(set(labels.values()))
    if len(classes) > _MOST_CLASSES:
        return _by_class(told, classes)
    groups = {utterance.group for utterance, _ in told}
    has_groups = 1 < len(groups) <= _MOST_GROUPS
    places = [((u.group,) if has_groups else ()) + (u.sex or "-",) for u, _ in told]
    counts = Counter((place, label) for place, (_, label) in zip(places, told, strict=True))
    rows: list[tuple[object, ...]] = [(*(NAMED[:2] if has_groups else NAMED[1:2]), *classes, "all")]
    for place in sorted(set(places)):
        numbers = [counts[place, label] for label in classes]
        rows.append((*place, *numbers, sum(numbers)))
    sums = Counter(labels.values())
    blank = ("",) * has_groups
    return [*rows, ("all", *blank, *(sums[label] for label in classes), len(labels))]


def _by_class(told: Sequence[tuple[Utterance, str]], classes: Sequence[str]) -> list[tuple[object, ...]]:
    sexes = sorted({utterance.sex or "-" for utterance, _ in told})
    counts = Counter((label, utterance.sex or "-") for utterance, label in told)
    rows: list[tuple[object, ...]] = [("class", *sexes, "all")]
    for label in classes:
        numbers = [counts[label, sex] for sex in sexes]
        rows.append((label, *numbers, sum(numbers)))
    sums = Counter(utterance.sex or "-" for utterance, _ in told)
    return [*rows, ("all", *(sums[sex] for sex in sexes), len(told))]
