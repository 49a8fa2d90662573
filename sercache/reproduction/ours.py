"""Our number for each cell of a table, from the trials that it asks for, each had once."""

from __future__ import annotations

from sercache import record
from sercache.errors import (
    EncoderError,
    MissingExtraError,
    MissingFeaturesError,
    MissingMaterialError,
    SercacheError,
)
from sercache.evaluation import transcripts
from sercache.experiment.vectors import separation
from sercache.papers import (
    BestOf,
    Built,
    Cell,
    Change,
    ErrorRate,
    Gap,
    Latency,
    Members,
    PaperRow,
    RecipeField,
    TrialScore,
    Vectors,
)
from sercache.published import TrialPlan
from sercache.record import Report
from sercache.reproduction import cells, facts, measured, vectors
from sercache.reproduction.paper import ReproduceOptions, TableProgress
from sercache.reproduction.place import Place, check_at_hand, corpus_of, done_by_one
from sercache.reproduction.trials import obtain

_MISSING = (EncoderError, MissingFeaturesError, MissingExtraError, MissingMaterialError)


def over(cell: Cell) -> str | None:
    """What ours is the mean of; None for what is no mean."""
    match cell.ours:
        case TrialScore() as score:
            return score.aggregate.removesuffix("s")
        case BestOf() | Change():
            return "group"
        case Gap() | Members() | Built() | RecipeField():
            return None
        case Latency():
            return "repeat"
        case None:
            return ""
    return "utterance"


def ours_of(
    cell: Cell, row: PaperRow, request: ReproduceOptions, place: Place, found: TableProgress
) -> record.Score | None:
    """Ours for one cell; None where somebody else's system is printed or something stands in the way."""
    try:
        match cell.ours:
            case TrialScore() as score:
                return _value(score, row, request, place, found)
            case Gap(of, less):
                first, second = (_value(each, row, request, place, found) for each in (of, less))
                return first and second and record.Score(first.mean - second.mean, None, first.n)
            case BestOf() as best:
                return _best(best, row, request, place, found)
            case Change(of, baseline):
                mean = _best(of, row, request, place, found)
                return mean and record.Score(100 * (mean.mean / baseline - 1), None, mean.n)
            case Members() | Built() | RecipeField() as wanted:
                return facts.fact(wanted, request, place)
            case ErrorRate() as wanted:
                return measured.error_rate(wanted, request.instead, place)
            case Latency() as wanted:
                with done_by_one("latency", place):
                    return measured.latency(wanted, place)
            case Vectors() as wanted:
                return _separation(wanted, row, request, place, found)
            case None:
                return None
    except _MISSING as fault:
        found.missing[str(fault)] = None
    except SercacheError as fault:
        found.failed[f"{row.name}: {fault}"] = None
    return None


def _best(
    wanted: BestOf, row: PaperRow, request: ReproduceOptions, place: Place, found: TableProgress
) -> record.Score | None:
    """Mean over groups of the best; None where a score is not there."""
    values = [[_value(each, row, request, place, found) for each in group] for group in wanted.groups]
    whole = [[value for value in group if value] for group in values]
    return cells.best(whole) if whole and all(map(all, values)) else None


def _separation(
    wanted: Vectors, row: PaperRow, request: ReproduceOptions, place: Place, found: TableProgress
) -> record.Score | None:
    planned = request.plan(wanted.trial)
    report_of(planned, row, place, found)
    found.vectors[id(wanted)] = vectors.labelled(wanted, planned, place)
    return separation(found.vectors[id(wanted)])


def report_of(planned: TrialPlan, row: PaperRow, place: Place, found: TableProgress) -> Report:
    """The trial's report, had once; a trial that could not be had is not tried again."""
    key = planned.digest
    if key in found.faults:
        raise found.faults[key]
    if key not in found.reports:
        try:
            found.reports[key] = row.name, obtain(planned, place)
        except SercacheError as fault:
            found.faults[key] = fault
            raise
    return found.reports[key][1]


def _value(
    score: TrialScore, row: PaperRow, request: ReproduceOptions, place: Place, found: TableProgress
) -> record.Score | None:
    planned = request.plan(score.trial)
    report = report_of(planned, row, place, found)
    value = cells.value(score, report, lambda name: transcripts(corpus_of(name, place)[0]))
    if value is None and score.on is not None:
        check_at_hand(score.on, place)
    return value
