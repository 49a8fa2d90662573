"""Notes that belong under tables: what a result rests on, and what keeps two from being compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sercache.metrics import FEWEST_UNITS
from sercache.record import Aggregate, Answer, CrossCorpus, Interval, Prediction, Report, counted
from sercache.report.audio_notes import audio_notes, is_shared
from sercache.trained_on import LEAK

_DIGITS = 12
"""Of a digest that are shown."""
_NAMED = 3
"""So many rows are named in a note; of more the first."""


def provenance(report: Report) -> list[str]:
    """What a single result rests on, a line each."""
    corpus = report.corpus
    lines = [
        f"{corpus['n_utterances']} utterances of {_speakers(corpus['n_speakers'])}, task {corpus['task']}, "
        f"release {corpus['release'] or 'not known'}",
        *made_by(report),
        *speaker_notes([report]),
        *class_notes(report),
        *report.notes,
    ]
    if not any(fold.n_test for fold in report.folds):
        lines.append(f"nothing of {corpus['name']} is tested: all of it trains")
    elif report.cross_corpus and not report.summary:
        lines.append("its own test parts are not repeated here")
    return [*lines, *corpus_notes(corpus)]


def leak_notes(report: Report) -> list[str]:
    """What its public encoders know of what it tests, a line each."""
    return [note for note in report.notes if note.startswith(LEAK)]


def _speakers(n: int) -> str:
    return counted(n, "speaker") if n else "speakers who are not known"


def made_by(report: Report) -> list[str]:
    """How the heads of a run were made: scope of normalisation, choice of the epoch, what differs."""
    return [f"normalisation {report.normalisation}", f"epoch: {report.selection}", *differences(report)]


def differences(report: Report) -> list[str]:
    """What a training did in another way than its paper, in one line; none where nothing."""
    return [f"differs from what was published: {'; '.join(report.deviations)}"] if report.deviations else []


def corpus_notes(corpus: Mapping[str, object]) -> list[str]:
    """What read a corpus where that is no part of sercache, what was left out, and what its reader warns of."""
    left_out, warnings = corpus["left_out"], corpus["warnings"]
    assert isinstance(left_out, Mapping)
    assert isinstance(warnings, Sequence)
    lines = []
    if digest := str(corpus.get("reader_sha256", "")):
        lines.append(f"corpus: read by a file that is no part of sercache, sha256 {digest[:_DIGITS]}")
    if left_out:
        first = next(iter(left_out.items()))
        lines.append(f"{len(left_out)} utterances left out, first: {first[0]}: {first[1]}")
    return lines + [f"corpus: {warning}" for warning in warnings]


def reader_notes(corpora: Sequence[Mapping[str, object]]) -> list[str]:
    """That rows of one corpus were read by different files, or by one that was edited in between."""
    found = sorted({str(each.get("reader_sha256", "")) for each in corpora} - {""})
    if len(found) < 2:
        return []
    digests = ", ".join(digest[:_DIGITS] for digest in found)
    return [
        f"rows differ in the file that reads the corpus (sha256 {digests}): it was edited, or is another one"
    ]


def about_score(reports: Sequence[Report], aggregate: Aggregate) -> str:
    """How a number by one convention is made of many."""
    folds, seeds = (_of_all(reports, part) for part in ("fold", "seed"))
    if folds == "1 fold":
        return "score of the test part" + ("" if seeds == "1 seed" else f"{_FOR_EACH} {seeds}")
    if aggregate == "folds":
        inner = "" if seeds == "1 seed" else f" (mean over its {seeds})"
        return f"score of each fold{inner}, then mean ± sample std over {folds}"
    return f"score of the pooled predictions of {folds}" + (
        "" if seeds == "1 seed" else f"{_FOR_EACH} {seeds}"
    )


def about_models(reports: Sequence[Report]) -> str:
    """How a number on another corpus, all of which every model predicts, is made of many."""
    folds, seeds = (_of_all(reports, part) for part in ("fold", "seed"))
    if folds == "1 fold":
        return "score of the model" + ("" if seeds == "1 seed" else f"{_FOR_EACH} {seeds}")
    inner = "" if seeds == "1 seed" else f" (mean over its {seeds})"
    return f"score of each fold's model{inner}, then mean ± sample std over {folds}"


_FOR_EACH = " for each seed, then mean ± sample std over"


def _of_all(reports: Sequence[Report], part: Literal["fold", "seed"]) -> str:
    """``10 folds``; ``5 or 10 folds`` where reports differ."""
    found = sorted({len(report.folds if part == "fold" else report.seeds) for report in reports})
    return counted(found[0], part) if len(found) == 1 else f"{' or '.join(map(str, found))} {part}s"


def interval_notes(intervals: Sequence[Interval | None]) -> list[str]:
    """What intervals are made of, and why some are not there."""
    found = [each for each in intervals if each is not None]
    lines = []
    whole = sorted({each.units for each in found if each.low is not None})
    if whole:
        drawn = " or ".join(whole)
        lines.append(f"95 %: percentile bootstrap of the score beside it, {drawn} drawn with replacement")
    if any(each.low is None for each in found):
        lines.append(f"no interval from fewer than {FEWEST_UNITS} units: it would only be their own scores")
    if any("utterances" in each.units for each in found):
        lines.append(
            "speakers are not known: utterances are drawn, which are alike, so the interval is too narrow"
        )
    return lines


def fold_notes(report: Report) -> list[str]:
    """Why the mean over folds has no interval, where it has none and there are several folds."""
    found = report.summary.get(report.main_metric)
    if found is None or len(report.folds) < 2 or found.folds_interval is not None:
        return []
    return [
        "no interval of the mean over folds: folds cannot be drawn, for it is not known that each tests speakers of "
        "its own"
    ]


def scope_notes(reports: Sequence[Report]) -> list[str]:
    """Scopes of normalisation, where they differ or see the test speaker."""
    scopes = sorted({report.scope for report in reports})
    notes = []
    if len(scopes) > 1:
        notes.append(
            f"rows differ in normalisation scope ({', '.join(scopes)}): compare only rows of one scope"
        )
    if "speaker" in scopes:
        notes.append("normalise speaker: the statistics see the test speaker's features")
    return notes


def speaker_notes(reports: Sequence[Report]) -> list[str]:
    """Whether test speakers talk in other parts, and their recordings lie there, of reports that have a test part."""
    return [*_speaker_lines(reports), *audio_notes(reports)]


def _speaker_lines(reports: Sequence[Report]) -> list[str]:
    tested = [report for report in reports if report.summary]
    shared = [report for report in tested if not all(fold.speakers_disjoint for fold in report.folds)]
    if not shared:
        by = " under the same name" if any(map(is_shared, tested)) else ""
        return [f"no test speaker occurs in a training or dev part{by} (checked)"] if tested else []
    which = "" if len(reports) == 1 else ": " + ", ".join(dict.fromkeys(r.title for r in shared))
    return [f"test speakers also occur in training or dev parts, or are not known{which}"]


def class_notes(report: Report) -> list[str]:
    """Folds whose test part lacks a class, and classes that few test speakers say."""
    if report.targets or not report.predictions:
        return []
    notes = []
    n_folds = len({each.fold for each in report.predictions})
    n, partial = len(report.classes), lacking(report)
    if partial:
        fold, missing = next(iter(partial.items()))
        lacks = ", ".join(missing)
        fewest = n - max(map(len, partial.values()))
        notes.append(
            f"{len(partial)} of {n_folds} test parts lack a class (first: {fold} lacks {lacks}; the fewest have "
            f"{fewest} of {n}): a fold's UA is the mean over the classes that it holds, its macro F1 over those and "
            "what is predicted; the pooled scores are over all"
        )
    return notes + told_by_few(report.classes, report.predictions)


def lacking(report: Report) -> dict[str, list[str]]:
    """The classes that test parts lack, by fold, of those that lack any."""
    held: dict[str, set[Answer]] = {}
    for each in report.predictions if report.classes else ():
        held.setdefault(each.fold, set()).add(each.true)
    missing = {
        fold: [name for k, name in enumerate(report.classes) if k not in own] for fold, own in held.items()
    }
    return {fold: names for fold, names in missing.items() if names}


def told_by_few(classes: Sequence[str], predictions: Sequence[Prediction]) -> list[str]:
    """Classes that fewer test speakers say than an interval needs, though there are enough speakers."""
    speakers = {each.speaker for each in predictions}
    if "" in speakers or len(speakers) < FEWEST_UNITS:
        return []
    by_class: dict[Answer, set[str]] = {}
    for each in predictions:
        by_class.setdefault(each.true, set()).add(each.speaker)
    n_of = {name: len(by_class[k]) for k, name in enumerate(classes) if k in by_class}
    few = {name: n for name, n in n_of.items() if n < FEWEST_UNITS}
    if not few:
        return []
    which = ", ".join(f"{name}: {n}" for name, n in few.items())
    return [f"classes that fewer than {FEWEST_UNITS} of {counted(len(speakers), 'test speaker')} say ({which}): "
            "their recall rests on these alone"]  # fmt: skip


def way_there(report: Report) -> Aggregate:
    """The convention for other corpora: the mean over models, where folds gave several."""
    return "folds" if len(report.folds) > 1 else "seeds"


def made_of(report: Report, there: CrossCorpus | None = None) -> str:
    """What the counts of a confusion matrix are sums over."""
    folds, seeds = counted(len(report.folds), "fold"), counted(len(report.seeds), "seed")
    if there is not None:
        return f"predictions of {counted(len(report.runs), 'model')} ({folds} x {seeds}) taken together"
    return f"predictions of {folds} and {seeds} taken together"


def of_rows(lines: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Notes of several rows, each once: as they are where all rows have them, else with the names of the rows."""
    rows: dict[str, list[str]] = {}
    for name, own in lines:
        for line in own:
            rows.setdefault(line, []).append(name)
    notes = []
    for line, names in rows.items():
        if len(names) == len(lines):
            notes.append(line)
        elif len(names) <= _NAMED:
            row = f"{', '.join(names)}: "
            notes.append(line if line.startswith(row) else f"{row}{line}")
        else:
            notes.append(f"{len(names)} of {len(lines)} rows (first: {names[0]}): {line}")
    return notes


def there_notes(report: Report, there: CrossCorpus) -> list[str]:
    """What a result on another corpus rests on, a line each."""
    return [
        *made_by(report),
        f"there: normalisation {there.normalisation}",
        *there.notes,
        *told_by_few(report.classes, there.predictions),
        *corpus_notes(there.corpus),
    ]
