"""Which speakers and recordings of test parts are trained on too, counted for the trials of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sercache.datasets import Utterance
from sercache.errors import SercacheError
from sercache.protocols import Fold, make_folds
from sercache.published import TrialPlan
from sercache.record import Report, counted
from sercache.reproduction.place import Place, corpus_of, lists_folder


def overlap_notes(done: Sequence[tuple[TrialPlan, Report]], place: Place) -> list[str]:
    """A line for every corpus and protocol of finished trials: test speakers and audio that are trained on."""
    lines: dict[str, None] = {}
    for plan, report in done:
        if any(fold.n_test for fold in report.folds):
            speakers = _speakers(plan, place)
            if speakers:
                name = f"{report.corpus['name']} by {plan.setup.protocol}"
                lines[f"{name}: {speakers}; {_audio(report)}"] = None
    return list(lines)


def _speakers(plan: TrialPlan, place: Place) -> str:
    """In words; empty where the corpus is not there any more."""
    setup = plan.setup
    try:
        corpus, _ = corpus_of(setup.dataset, place)
        lists = lists_folder(plan, place)
        folds = make_folds(corpus, corpus.labels(setup.task), setup.protocol, dev=setup.dev, lists=lists)
    except SercacheError:
        return ""
    return _in_words([_shared(fold, corpus.by_id()) for fold in folds])


def _shared(fold: Fold, known: Mapping[str, Utterance]) -> tuple[int, int] | None:
    """How many speakers a test part has, and how many of them are in the training or dev part; None: not known."""
    tested, trained = ({known[i].speaker for i in ids} for ids in (fold.test, fold.train + fold.dev))
    return None if "" in tested | trained else (len(tested), len(tested & trained))


def _in_words(found: Sequence[tuple[int, int] | None]) -> str:
    counts = [each for each in found if each is not None]
    if len(counts) < len(found):
        return "speakers are not known"
    if not any(n for _, n in counts):
        return f"no speaker of {_parts(len(counts))} is trained on"
    tested = _between([n for n, _ in counts])
    if all(n == of for of, n in counts):
        which = "the one speaker" if tested == "1" else f"all {tested} speakers"
        return (
            f"{which} of {_parts(len(counts), 'each of ')} {'is' if tested == '1' else 'are'} trained on too"
        )
    trained = _between([n for _, n in counts])
    return f"{trained} of the {tested} speakers of {_parts(len(counts), 'each of ')} are trained on too"


def _parts(n: int, of: str = "any of ") -> str:
    return "the test part" if n == 1 else f"{of}{counted(n, 'test part')}"


def _between(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _audio(report: Report) -> str:
    found = [fold.shared_audio for fold in report.folds]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return "equal audio was not looked for"
    n, of = sum(each.n_test for each in known), sum(fold.n_test for fold in report.folds)
    return (
        f"{n} of {of} test recordings have the audio of one that is trained on"
        if n
        else "no audio is in both"
    )
