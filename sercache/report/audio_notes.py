"""Notes on equal audio: recordings that lie in two parts of a fold under different names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sercache.record import Report, SharedAudio, counted


def audio_notes(reports: Sequence[Report]) -> list[str]:
    """Whether test parts hold recordings that are trained on, of reports that have a test part."""
    tested = [report for report in reports if report.summary]
    checked = [report for report in tested if all(fold.shared_audio is not None for fold in report.folds)]
    shared = [report for report in checked if any(found.n_test for found in _found(report))]
    lines = [_shared_line(report, named=len(reports) > 1) for report in shared]
    for report in checked:
        lines += _other_lines(report, named=len(reports) > 1)
    if checked and not shared:
        lines.insert(
            0, f"no audio of a test part is in a training or dev part too{_of(checked, reports)} (checked)"
        )
    unchecked = [report for report in tested if report not in checked]
    if unchecked:
        lines.append(f"equal audio across parts: not checked{_of(unchecked, reports)} ({_why(unchecked)})")
    return list(dict.fromkeys(lines))


def is_shared(report: Report) -> bool:
    """Whether a test part is known to hold a recording that is trained on."""
    return any(found.n_test for found in _found(report))


def _found(report: Report) -> list[SharedAudio]:
    return [fold.shared_audio for fold in report.folds if fold.shared_audio is not None]


def _shared_line(report: Report, *, named: bool) -> str:
    found = _found(report)
    n_shared, n_test = sum(each.n_test for each in found), sum(fold.n_test for fold in report.folds)
    n_folds = sum(each.n_test > 0 for each in found)
    speakers: Counter[tuple[str, str]] = Counter()
    for each in found:
        for one, other, n in each.speakers:
            speakers[min(one, other), max(one, other)] = max(n, speakers[min(one, other), max(one, other)])
    apart = [(pair, n) for pair, n in speakers.most_common(3) if pair[0] != pair[1] and "" not in pair]
    who = "; ".join(f"speakers {one} and {other}: {n}" for (one, other), n in apart)
    (first, equal), *_ = next(each.first for each in found if each.first)
    lead = f"{report.title}: " if named else ""
    folds = f" in {n_folds} of {len(report.folds)} folds" if len(report.folds) > 1 else ""
    return (
        f"{lead}{n_shared} of {n_test} test utterances have audio that is in the training or dev part too{folds}"
        f"{f' ({who})' if who else ''}, first: {first} = {equal}; they are counted as they are, --duplicates apart "
        "leaves their duplicates out of training"
    )


def _other_lines(report: Report, *, named: bool) -> list[str]:
    found, lead = _found(report), f"{report.title}: " if named else ""
    lines = []
    if n_dev := sum(each.n_dev for each in found):
        lines.append(f"{lead}{counted(n_dev, 'dev utterance')} with audio that is in the training part too")
    if n_out := sum(each.n_left_out for each in found):
        lines.append(
            f"{lead}duplicates apart: {n_out} utterances left out of training and dev parts, as their audio is that of "
            "one that is judged"
        )
    about = report.corpus.get("equal_audio") or {}
    if about.get("n_other_label"):
        first, other = about["first_other_label"]
        lines.append(
            f"{lead}{about['n_other_label']} utterances of {report.corpus['name']} have equal audio and different "
            f"labels, first: {first} = {other}"
        )
    return lines


def _of(some: Sequence[Report], reports: Sequence[Report]) -> str:
    """Which reports are meant, where it is not all."""
    if len(some) == len(reports):
        return ""
    return ", of " + ", ".join(dict.fromkeys(report.title for report in some))


def _why(reports: Sequence[Report]) -> str:
    is_text = {
        report.features.get("spec", {}).get("identity", {}).get("modality") == "text" for report in reports
    }
    if is_text == {True}:
        return "the features are of transcripts"
    return (
        "not recorded when they were run"
        if is_text == {False}
        else "not recorded, or features of transcripts"
    )
