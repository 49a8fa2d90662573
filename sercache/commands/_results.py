"""`sercache train | sweep | evaluate | probe | lexical | map | compare`: what came out, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sercache.commands.console import say_filled, say_rows
from sercache.evaluation import Forecast, Several, Unfinished
from sercache.experiment.compare import PairedRuns
from sercache.experiment.lexical import WordDependence
from sercache.experiment.map import Mapped
from sercache.experiment.outcome import shown
from sercache.experiment.probe import Probed
from sercache.experiment.result import Result
from sercache.experiment.robustness import Robustness
from sercache.experiment.sweep import Swept
from sercache.layout import terminal_width
from sercache.progress import say, used
from sercache.record import Report
from sercache.report import Format, passes_saved, tables


def trained(result: Result | Unfinished | Forecast | Several | None) -> None:
    """The table of a training, and where it lies; of a part of a run what is missing. What it takes was told."""
    if not isinstance(result, Result | Unfinished):
        return
    say()
    if isinstance(result, Unfinished):
        used("part done", result)
        used("to finish", result.command)
        return
    say(shown([result.report]))
    passes([result.report])
    used("run", result.folder)


def passes(reports: Sequence[Report]) -> None:
    """How often the encoder would have run in these trainings, had there been no cache."""
    for told in passes_saved(reports):
        say_filled(told, "saved     ")


def swept(found: Swept | Unfinished | Several | None) -> None:
    """Every point by its dev score, and the table of the one that was selected."""
    if not isinstance(found, Swept):
        trained(found)
        return
    say()
    told = [each or "-" for each in found.differs]
    rows = [
        [*point.values(), f"{score:.4f}", *told[k : k + 1]] for k, (point, score) in enumerate(found.points)
    ]
    best = found.points[0][0]
    say_rows([[*best, f"mean {found.on}", *(["differs from best"] if told else [])], *rows])
    for note in found.notes:
        say_filled(f"dev parts: {note}", "note: ")
    used("selected", ", ".join(f"{name}={value}" for name, value in best.items()))
    used("table", found.table)
    say()
    say(shown([found.result.report]))
    used("run", found.result.folder)


def evaluated(result: Result) -> None:
    """The table of a test on another corpus, and where it lies."""
    say()
    say(tables.table([result.report], width=terminal_width()))
    used("written", result.folder)


def tabled(found: Probed | WordDependence) -> None:
    """The table of a probe, or of words and predicted classes, and what was written."""
    say()
    say(found.table.render("text", terminal_width()))
    if isinstance(found, Probed):
        passes(list(found.reports.values()))
    for path in found.written:
        used("written", path)


def compared_as(table_format: Format) -> Callable[[PairedRuns | Robustness], None]:
    """Shows the pairs of some runs, or a run under conditions, and what was written: not where a format is for
    programs."""

    def compared(found: PairedRuns | Robustness) -> None:
        say(found.table.render(table_format, terminal_width()))
        for table in found.published if isinstance(found, PairedRuns) else ():
            say()
            say(table.render(table_format, terminal_width()))
        if table_format == "text":
            for path in found.written:
                used("written", path)

    return compared


def drawn(found: Mapped) -> None:
    """How far apart the groups of a map lie, and what was written."""
    if found.silhouette is not None:
        say(
            f"mean silhouette of the vectors by {found.by} (cosine): {found.silhouette:.3f}; 1 apart, 0 mixed"
        )
    used("written", ", ".join(map(str, found.written)))
