"""`sercache datasets NAME --counts`: how many utterances a corpus has by session, sex and class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sercache import settings
from sercache.commands.console import columns, print_json
from sercache.datasets import Corpus, Utterance
from sercache.errors import SettingsError
from sercache.experiment.corpora import cache_if_any, read_corpus
from sercache.progress import say, used

_MOST_CLASSES = 20
"""Side by side; more are counted one below the other, by sex alone."""
_MOST_GROUPS = 40


def run(name: str, *, root: Path | None, task: str | None, as_json: bool = False) -> None:
    """Print the counts of the corpus as it lies on disk (Park et al. 2023, Figure 4, shows those of IEMOCAP).

    Raises SettingsError for a task that gives numbers, CorpusError, UnknownNameError.
    """
    known = settings.load()
    cache = cache_if_any(known)
    corpus, _ = read_corpus(name, root, known, cache)
    if corpus.is_numeric(task):
        raise SettingsError(
            f"task {corpus.task_name(task)} of {name} gives numbers, which have no counts; choose another --task"
        )
    rows = counted(corpus, corpus.labels(task))
    if as_json:
        print_json([dict(zip(map(str, rows[0]), row, strict=True)) for row in rows[1:]])
        return
    used("task", corpus.task_name(task))
    for line in columns(rows, right=[k for k, title in enumerate(rows[0]) if title not in _NAMED]):
        say(line)


_NAMED = ("session", "sex", "class")


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
    rows: list[tuple[object, ...]] = [(*(_NAMED[:2] if has_groups else _NAMED[1:2]), *classes, "all")]
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
