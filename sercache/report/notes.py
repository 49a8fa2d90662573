"""Notes that belong under tables: what a result rests on, and what keeps two from being compared."""

from __future__ import annotations

from collections.abc import Sequence

from sercache.report.record import AGGREGATES, Report


def provenance(report: Report) -> list[str]:
    """What a single result rests on, a line each."""
    corpus = report.corpus
    lines = [
        f"{corpus['n_utterances']} utterances of {corpus['n_speakers']} speakers, task {corpus['task']}, "
        f"release {corpus['release'] or 'not known'}",
        f"normalisation {report.normalisation}",
        f"epoch: {report.selection}",
        *speaker_notes([report]),
        *class_notes(report),
        *report.notes,
    ]
    if not report.summary:
        where = "its own test parts are not repeated here"
        if not any(fold.n_test for fold in report.folds):
            where = f"nothing of {corpus['name']} is tested: all of it trains"
        lines.append(where)
    if corpus["left_out"]:
        first = next(iter(corpus["left_out"].items()))
        lines.append(f"{len(corpus['left_out'])} utterances left out, first: {first[0]}: {first[1]}")
    return lines + [f"corpus: {warning}" for warning in corpus["warnings"]]


def about_n(report: Report) -> list[str]:
    """How the numbers of one report are made of many."""
    lines = [f"folds: {AGGREGATES['folds']}"] if len(report.folds) > 1 else []
    return [*lines, f"pooled: {AGGREGATES['seeds']}" if len(report.folds) > 1 else "± sample std over seeds"]


def scope_notes(reports: Sequence[Report]) -> list[str]:
    """Scopes of normalisation, where they differ or see the test speaker."""
    scopes = sorted({report.setup["normalise"] for report in reports})
    notes = []
    if len(scopes) > 1:
        notes.append(
            f"rows differ in normalisation scope ({', '.join(scopes)}): compare only rows of one scope"
        )
    if "speaker" in scopes:
        notes.append("normalise speaker: the statistics see the test speaker's features")
    return notes


def speaker_notes(reports: Sequence[Report]) -> list[str]:
    """Whether test speakers talk in other parts, of reports that have a test part."""
    tested = [report for report in reports if report.summary]
    shared = [report for report in tested if not all(fold.speakers_disjoint for fold in report.folds)]
    if not shared:
        return ["no test speaker talks in a training or dev part (checked)"] if tested else []
    which = "" if len(reports) == 1 else ": " + ", ".join(dict.fromkeys(r.title for r in shared))
    return [f"test speakers also talk in training or dev parts, or are not known{which}"]


def class_notes(report: Report) -> list[str]:
    """Folds whose test part lacks a class: their UA is a mean over fewer classes."""
    if report.targets:
        return []
    held: dict[str, set[int]] = {}
    for prediction in report.predictions:
        held.setdefault(prediction.fold, set()).add(prediction.true)
    partial = [fold for fold, classes in held.items() if len(classes) < len(report.classes)]
    if not partial:
        return []
    return [
        f"{len(partial)} of {len(held)} test parts lack a class (first: {partial[0]}); a fold's UA is the mean "
        "over the classes that it holds, pooled UA is over all"
    ]
