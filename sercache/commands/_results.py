"""`sercache train | sweep | evaluate | probe | lexical | map`: what came out, as tables."""

from __future__ import annotations

from sercache.commands.console import columns
from sercache.experiment import lexical as words
from sercache.experiment import map as maps
from sercache.experiment import probe as probes
from sercache.experiment import sweep as sweeps
from sercache.experiment import test_on, train
from sercache.experiment.outcome import shown
from sercache.layout import terminal_width
from sercache.progress import say, used
from sercache.report import tables


def run(options: train.TrainOptions) -> None:
    """Train as asked and print the table. Raises SercacheError."""
    result = train.run(options)
    say()
    say(shown([result.report]))
    used("run", result.folder)


def sweep(options: sweeps.SweepOptions) -> None:
    """Train every point, print all by their dev scores, and the table of the one that was selected."""
    found = sweeps.run(options)
    say()
    rows = [[*point.values(), f"{score:.4f}"] for point, score in found.points]
    best = found.points[0][0]
    for line in columns([[*best, f"mean {found.on}"], *rows]):
        say(line)
    used("selected", ", ".join(f"{name}={value}" for name, value in best.items()))
    used("table", found.table)
    say()
    say(shown([found.result.report]))
    used("run", found.result.folder)


def evaluate(options: test_on.TestOptions) -> None:
    """Test the heads of a run on another corpus and print the table."""
    result = test_on.run(options)
    say()
    say(tables.table([result.report], width=terminal_width()))
    used("written", result.folder)


def probe(options: probes.ProbeOptions) -> None:
    """Probe each state of an encoder and print the table."""
    found = probes.run(options)
    say()
    say(found.table.render("text", terminal_width()))
    for path in found.written:
        used("written", path)


def lexical(options: words.LexicalOptions) -> None:
    """Print the PPMI of words and predicted classes."""
    found = words.run(options)
    say()
    say(found.table.render("text", terminal_width()))
    for path in found.written:
        used("written", path)


def draw_map(options: maps.MapOptions) -> None:
    """Draw the vectors of a head in the plane; say how far apart the groups lie."""
    found = maps.run(options)
    if found.silhouette is not None:
        say(
            f"mean silhouette of the vectors by {options.by} (cosine): {found.silhouette:.3f}; 1 apart, 0 mixed"
        )
    used("written", ", ".join(map(str, found.written)))
