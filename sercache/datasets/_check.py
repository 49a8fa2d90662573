"""Comparison of a copy of a corpus with what is published of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sercache.datasets._corpus import Corpus
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Utterance
from sercache.errors import CorpusError
from sercache.units import listed

Verdict = Literal["match", "differs", "unknown"]

_SHOWN = 5
"""How many ids or counts a line names."""


@dataclass(frozen=True, slots=True)
class ListCheck:
    """How a copy compares with one published list."""

    task: str
    """Task expression of the list; empty: every utterance."""
    rows: int
    expected_rows: int
    digest: Verdict
    """Digest of ids and labels, or of ids alone where no other is published."""
    differences: tuple[str, ...]
    """One line per kind of difference, ids named where a rule makes them."""


def check(corpus: Corpus) -> tuple[ListCheck, ...]:
    """Compares ``corpus`` with every list that is published of it: counts, digests, ids."""
    return tuple(_compare(corpus, published) for published in corpus.info.published)


def assemble(
    name: str,
    root: Path,
    info: CorpusInfo,
    utterances: Iterable[Utterance],
    skipped: Iterable[Skipped] = (),
    *,
    release: str,
    published: PublishedList | None = None,
    warnings: Iterable[str] = (),
) -> Corpus:
    """The corpus of these utterances, sorted by id, with a warning where it differs from ``published``.

    ``published`` defaults to the first list of ``info``. Raises CorpusError where nothing is left.
    """
    ordered = tuple(sorted(utterances, key=lambda u: u.id))
    left_out = tuple(sorted(skipped, key=lambda s: s.what))
    if not ordered:
        why = (
            f"; {len(left_out)} left out, first: {left_out[0].what}: {left_out[0].reason}" if left_out else ""
        )
        raise CorpusError(f"{name}: no utterance can be used under {root}{why}")
    corpus = Corpus(name, release, root, info, ordered, left_out)
    reference = published or next(iter(info.published), None)
    found = list(warnings)
    if reference is not None:
        found += _summary(corpus, reference)
    return dataclasses.replace(corpus, warnings=tuple(found))


def digest(lines: Iterable[str]) -> str:
    """sha256 over the sorted lines, each ended by a line feed."""
    text = "".join(f"{line}\n" for line in sorted(lines))
    return hashlib.sha256(text.encode()).hexdigest()


def _summary(corpus: Corpus, published: PublishedList) -> list[str]:
    """The differences from ``published`` as one line, or none."""
    result = _compare(corpus, published)
    if not result.differences:
        return []
    part = f" of {published.task}" if published.task else ""
    head = f"{result.rows} of {result.expected_rows} published utterances{part}"
    missing = corpus.missing_classes(published.task or None)
    if not missing:
        return [f"{head}; {'; '.join(result.differences)}"]
    # A copy without some classes is a choice; what else differs is told only of the classes it has.
    found = {u.raw_label for u in corpus.utterances}
    labels = {k: n for k, n in published.counts.get("raw_label", {}).items() if k in found}
    rest = _count_differences(list(corpus.utterances), {"raw_label": labels})
    return ["; ".join([f"{head}; no utterance of {_some(missing)}", *rest])]


def _compare(corpus: Corpus, published: PublishedList) -> ListCheck:
    labels = corpus.labels(published.task) if published.task else {}
    members = [u for u in corpus.utterances if not published.task or u.id in labels]
    ids = [u.id for u in members]
    lines = [f"{i}\t{published.spelling.get(c, c)}" for i, c in labels.items()]
    verdicts = [
        digest(found) == expected
        for found, expected in ((ids, published.sha256_ids), (lines, published.sha256_labels))
        if expected and (found is ids or published.task)
    ]
    differences = _count_differences(members, published.counts)
    if published.ids is not None:
        differences += _id_differences(set(ids), set(published.ids()))
    if not differences and len(ids) != published.rows:
        differences.append(f"{len(ids)} utterances instead of {published.rows}")
    if not differences and not all(verdicts):
        differences.append("the counts agree, but ids or labels differ from the published list")
    return ListCheck(published.task, len(ids), published.rows, _verdict(verdicts), tuple(differences))


def _verdict(digests_agree: list[bool]) -> Verdict:
    if not digests_agree:
        return "unknown"
    return "match" if all(digests_agree) else "differs"


def _count_differences(members: list[Utterance], counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """One line per field whose counts differ, naming the values: ``speaker: 03 48 instead of 49``."""
    lines = []
    for field, expected in counts.items():
        found = Counter(str(getattr(u, field)) for u in members)
        wrong = [
            f"{value or 'none'} {found.get(value, 0)} instead of {expected.get(value, 0)}"
            for value in sorted({*found, *expected})
            if found.get(value, 0) != expected.get(value, 0)
        ]
        if wrong:
            lines.append(f"{field.replace('raw_', '')}: {_some(wrong)}")
    return lines


def _id_differences(found: set[str], expected: set[str]) -> list[str]:
    pairs = (("missing", sorted(expected - found)), ("not in the published list", sorted(found - expected)))
    return [f"{len(ids)} {what}: {_some(ids)}" for what, ids in pairs if ids]


def _some(items: list[str]) -> str:
    return listed(items, _SHOWN)
