"""Tables on predicted probabilities: calibration before and after a temperature, and leaving out the unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sercache import metrics
from sercache.record import HEADLINE, Interval, Prediction, Report, counted, score
from sercache.report.notes import about_score, interval_notes
from sercache.report.render import Cell, ReportTable
from sercache.statistics import (
    COVERAGES,
    N_BINS,
    Said,
    aurc,
    brier,
    ece,
    grouped,
    is_at_end,
    log_loss,
    over_units_by,
    said,
    surest,
    temperature,
)

_NUMBERS = ("ECE", "Brier", "log loss")


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What the seeds of a run say of the test utterances, as it stands and by the temperature of each dev part."""

    groups: Sequence[Sequence[Prediction]]
    before: Sequence[Said]
    """By seed, folds pooled."""
    after: Sequence[Said] | None
    """None where there are no dev predictions."""
    temperatures: tuple[float, ...]
    """Of each fold and seed."""


def calibrated(report: Report) -> Calibrated:
    """The test predictions of a report, and by temperatures that were fitted on the dev part of each training alone."""
    groups = grouped(report.predictions, lambda each: each.seed)
    before = [said(group) for group in groups]
    dev = {
        (own[0].fold, own[0].seed): own for own in grouped(report.dev_predictions, lambda p: (p.fold, p.seed))
    }
    if any((p.fold, p.seed) not in dev for p in report.predictions):
        return Calibrated(groups, before, None, ())
    fitted = {place: temperature(said(own)) for place, own in dev.items()}
    after = []
    for group in groups:
        scaled = {id(p): row for own in grouped(group, lambda p: p.fold) for p, row in zip(
            own, said(own).at(fitted[own[0].fold, own[0].seed]).chances, strict=True
        )}  # fmt: skip
        after.append(Said(np.array([p.true for p in group]), np.array([scaled[id(p)] for p in group])))
    return Calibrated(groups, before, after, tuple(fitted.values()))


def calibration_table(report: Report, remedy: str = "") -> ReportTable:
    """ECE, Brier score and log loss of the test predictions, before and after temperature.

    ``remedy`` is the command that gives a run its dev predictions.
    """
    found = calibrated(report)
    rows: list[tuple[Cell, ...]] = []
    for name, own in (("as trained", found.before), ("with temperature", found.after)):
        if own is None:
            continue
        values = [[ece(each), float(brier(each).mean()), float(log_loss(each).mean())] for each in own]
        ends = _ends(found.groups, own)
        for k, number in enumerate(_NUMBERS):
            rows.append((name, number, score([each[k] for each in values]), ends[number]))
    notes = [
        f"{report.estimand(HEADLINE)}: {about_score([report], HEADLINE)}; less is better",
        f"ECE: of the predicted class, {N_BINS} bins of equal width; above 0 for few utterances even where all is "
        "well; Brier: summed over classes, 0 to 2; log loss: natural logarithm",
        *interval_notes([row[3] for row in rows if isinstance(row[3], Interval)]),
        _about_temperature(report, found, remedy),
    ]
    return ReportTable(
        f"{report.title}: calibration",
        ("probabilities", "measure", "score", "95 %"),
        tuple(rows),
        tuple(notes),
    )


def _ends(groups: Sequence[Sequence[Prediction]], own: Sequence[Said]) -> dict[str, Interval]:
    each_brier, each_loss = [brier(each) for each in own], [log_loss(each) for each in own]

    def measure(k: int, times: np.ndarray) -> list[float]:
        means = [float(values[k] @ times / times.sum()) for values in (each_brier, each_loss)]
        return [ece(own[k], times), *means]

    return over_units_by(groups, _NUMBERS, measure)


def _about_temperature(report: Report, found: Calibrated, remedy: str) -> str:
    if found.after is not None:
        low, high = min(found.temperatures), max(found.temperatures)
        n = counted(len(found.temperatures), "training")
        n_ends = sum(map(is_at_end, found.temperatures))
        return (
            f"temperature: fitted on the dev part of each of {n} alone, {low:.2f} to {high:.2f}, above 1 for heads "
            "that are too sure; predicted classes stay as they are"
            + (f"; {n_ends} had no best one, as of a dev part of which all is right" if n_ends else "")
        )
    if any(fold.n_dev for fold in report.folds):
        return "temperature: this run was saved without its dev predictions" + (
            f"; to have them: {remedy}" if remedy else ""
        )
    return "temperature: there is no dev part to fit it on, and it is never fitted on what is tested"


def selective_table(report: Report) -> ReportTable:
    """WA and UA of the surest utterances by how many are answered, and the area under the risk-coverage curve."""
    of_seeds = grouped(report.predictions, lambda each: each.seed)
    groups = [said(group) for group in of_seeds]
    ends = _ends_of_surest(of_seeds, groups)
    rows: list[tuple[Cell, ...]] = []
    for coverage in COVERAGES:
        kept = [surest(each)[: _n_answered(coverage, len(each.truth))] for each in groups]
        pairs = [
            (each.truth[own], each.chances[own].argmax(1)) for each, own in zip(groups, kept, strict=True)
        ]
        least = [float(each.sure[own].min()) for each, own in zip(groups, kept, strict=True)]
        held = min(len(set(truth.tolist())) for truth, _ in pairs)
        row = (
            f"{coverage:.0%}",
            score([metrics.wa(*p) for p in pairs]),
            ends[f"{coverage:.0%}"],
            score([metrics.ua(*p) for p in pairs]),
        )
        rows.append((*row, held, score(least)))
    area = score([aurc(each) for each in groups])
    notes = (
        f"{report.estimand(HEADLINE)}: the answered utterances are those with the highest probability of their class, "
        "over all folds together",
        f"AURC (share of wrong ones among the answered, mean over all coverages; less is better): {area.mean:.4f}"
        + ("" if area.std is None else f" ± {area.std:.4f}"),
        *interval_notes(list(ends.values())),
        "classes: those that the answered utterances still hold, of the seed that holds fewest; UA is over these",
    )
    columns = ("answered", "WA", "WA 95 %", "UA", "classes", "least probability")
    return ReportTable(f"{report.title}: answering the surest", columns, tuple(rows), notes)


def _n_answered(coverage: float, n: int) -> int:
    """How many of n utterances are answered, one at least."""
    return max(1, round(coverage * n))


def _ends_of_surest(groups: Sequence[Sequence[Prediction]], own: Sequence[Said]) -> dict[str, Interval]:
    """Of WA at every coverage: each draw of speakers answers the surest of its own utterances."""
    order = [surest(each) for each in own]
    right = [each.right[places] for each, places in zip(own, order, strict=True)]

    def measure(k: int, times: np.ndarray) -> list[float]:
        drawn = np.repeat(right[k], times[order[k]].astype(int))
        return [float(drawn[: _n_answered(coverage, len(drawn))].mean()) for coverage in COVERAGES]

    return over_units_by(groups, [f"{coverage:.0%}" for coverage in COVERAGES], measure)
