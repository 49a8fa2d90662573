"""What a copy holds beside what is published of its corpus.

A copy is judged by the smallest published list that covers all it holds, so that a copy of a part that
has a list of its own (the speech of RAVDESS, the four-class turns of IEMOCAP) is complete. A part without
a list cannot be told from a broken download: classes that are missing then are a problem, until the user
says which part is meant (``part``).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from sercache.checkup._records import Count, Finding, some
from sercache.datasets import Corpus, CorpusInfo, ListCheck, PublishedList, check
from sercache.errors import CorpusError


def part(corpus: Corpus, task: str) -> Corpus:
    """The utterances that ``task`` labels, as a corpus that is whole where it has all of these.

    Raises UnknownNameError for a task that the corpus does not have, CorpusError where nothing is left.
    """
    labels = corpus.labels(task)
    if not labels:
        raise CorpusError(
            f"{corpus.name}: none of {len(corpus.utterances)} utterances has a class of {task}; choose another task"
        )
    return dataclasses.replace(
        corpus,
        utterances=tuple(u for u in corpus.utterances if u.id in labels),
        info=dataclasses.replace(
            corpus.info, default_task=corpus.task_name(task), published=_lists(corpus, task)
        ),
        warnings=_own_warnings(corpus, check(corpus)),
    )


def _lists(corpus: Corpus, task: str) -> tuple[PublishedList, ...]:
    """The lists that are published of ``task``; else what the counts of the whole say of its labels."""
    info = corpus.info
    meant = info.setups.get(task, task)
    exact = tuple(p for p in info.published if p.task and info.setups.get(p.task, p.task) == meant)
    known = _published_labels(info)
    if exact or not known or "@" in meant:
        return exact
    label_map = corpus.label_map(task)
    labels = {raw: n for raw, n in known.items() if raw in label_map}
    return (PublishedList(sum(labels.values()), task, {"raw_label": labels}),)


def _published_labels(info: CorpusInfo) -> Mapping[str, int]:
    """Utterances by raw label of the whole corpus; empty where nothing is published."""
    first = info.published[0].counts.get("raw_label") if info.published else None
    return first or info.expected_counts


def compare(corpus: Corpus) -> tuple[tuple[ListCheck, ...], int | None, list[Finding]]:
    """Every comparison, the index of the one that counts, and the findings about completeness."""
    comparisons = check(corpus)
    reference = _reference(comparisons, len(corpus.utterances))
    findings = _without_list(corpus) if reference is None else _judged(corpus, comparisons, reference)
    # A published list says what is missing; without one, what was left out may be just that.
    kind = "left-out" if reference is None else "skipped"
    findings += [Finding(kind, f"{item.what}: {item.reason}") for item in corpus.skipped]
    findings += [Finding("reader", line) for line in _own_warnings(corpus, comparisons)]
    return comparisons, reference, findings + _speakers(corpus)


def _reference(comparisons: Sequence[ListCheck], n_utterances: int) -> int | None:
    """Of the lists that cover all utterances the nearest in size; else the first, which is the whole."""
    covering = [k for k, each in enumerate(comparisons) if each.rows == n_utterances]
    default = 0 if comparisons else None
    return min(covering, key=lambda k: abs(comparisons[k].expected_rows - n_utterances), default=default)


def _judged(corpus: Corpus, comparisons: Sequence[ListCheck], reference: int) -> list[Finding]:
    """One finding where the list that counts differs, or one of the others although the whole is here."""
    judge = comparisons[reference]
    # Lists of other parts cannot match a part; those of the whole corpus must.
    others = comparisons if reference == 0 else ()
    differing = [each for each in (judge, *others) if each.differences]
    if differing:
        return [Finding("incomplete", _difference(corpus, differing[0]))]
    whole = comparisons[0].expected_rows
    if reference != 0:
        return [
            Finding("part", f"all {judge.rows} utterances of {judge.task}, of {whole} in the whole corpus")
        ]
    return []


def _difference(corpus: Corpus, found: ListCheck) -> str:
    of_task = f" of {found.task}" if found.task else ""
    missing = corpus.missing_classes(found.task or None)
    absent = [f"no utterance of {some(missing)}"] if missing else []
    head = f"{found.rows} of {found.expected_rows} published utterances{of_task}"
    if found.rows == found.expected_rows:
        head = f"as many utterances{of_task} as published ({found.rows}), but not the same"
    return "; ".join([head, *absent, *found.differences])


def _without_list(corpus: Corpus) -> list[Finding]:
    """Label counts where at least those are published, else a note."""
    expected = corpus.info.expected_counts
    if not expected:
        return [Finding("unlisted", f"nothing is published of {corpus.name} to compare this copy with")]
    found = Counter(u.raw_label for u in corpus.utterances)
    wrong = [
        f"{label or 'none'} {found[label]} instead of {expected.get(label, 0)}"
        for label in sorted({*expected, *found})
        if found[label] != expected.get(label, 0)
    ]
    return [Finding("incomplete", f"label: {some(wrong)}")] if wrong else []


def _own_warnings(corpus: Corpus, comparisons: Sequence[ListCheck]) -> tuple[str, ...]:
    """The reader's warnings, less those that tell a comparison again."""
    retold = tuple(f"{c.rows} of {c.expected_rows} published utterances" for c in comparisons)
    return tuple(line for line in corpus.warnings if not line.startswith(retold))


def _speakers(corpus: Corpus) -> list[Finding]:
    """Utterances without a speaker, and a number of speakers that is not the published one."""
    speakers = {u.speaker for u in corpus.utterances if u.speaker}
    unknown = tuple(u.id for u in corpus.utterances if not u.speaker)
    findings = []
    if unknown:
        findings.append(
            Finding("speakers", "unknown: folds by speaker cannot be made", unknown),
        )
    published = corpus.info.n_speakers
    if speakers and published is not None and len(speakers) != published:
        findings.append(Finding("speakers", f"{len(speakers)} here, {published} published"))
    return findings


def counts(corpus: Corpus, reference: int | None) -> dict[str, tuple[Count, ...]]:
    """Utterances by label, class, speaker, group and partition, beside the list that the copy is judged by."""
    task = corpus.info.default_task
    names = corpus.label_map(task)
    published = {} if reference is None else corpus.info.published[reference].counts
    raw = published.get("raw_label") or (_published_labels(corpus.info) if not reference else {})
    found = {
        "label": _counted(Counter(u.raw_label for u in corpus.utterances), raw, names),
        "class": _counted(Counter(corpus.labels(task).values()), _by_class(raw, names), {}),
    }
    for field in ("speaker", "group", "partition"):
        here = Counter(getattr(u, field) for u in corpus.utterances)
        if any(here) or field in published:
            found[field] = _counted(here, published.get(field, {}), {})
    return found


def _by_class(raw: Mapping[str, int], names: Mapping[str, str]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for label, n in raw.items():
        if label in names:
            total[names[label]] += n
    return dict(total)


def _counted(
    here: Mapping[str, int], published: Mapping[str, int], names: Mapping[str, str]
) -> tuple[Count, ...]:
    return tuple(
        Count(value, here.get(value, 0), published.get(value, 0) if published else None, names.get(value, ""))
        for value in sorted({*here, *published})
    )
