"""The command that asks trained heads about recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sercache.commands.options._names import RUN
from sercache.commands.options._shared import FOLDER, head_option, root_option, where_options


@click.command()
@click.argument("run", type=RUN)
@click.argument("audio", nargs=-1)
@click.option("--manifest", type=FOLDER, help="A table of recordings, as of a corpus of your own.")
@click.option(
    "--dataset", help="A corpus: predict all of it, with its true labels beside (sercache datasets)."
)
@click.option("--task", help="Labels of that corpus.  [default: the task that is called as the run's]")
@root_option
@click.option(
    "--transcripts",
    type=FOLDER,
    help="For a run that reads text: what is said, as sercache transcribe writes it.",
)
@click.option("--window", type=float, help="Seconds: predict longer recordings by windows, with their times.")
@click.option("--step", type=float, help="Seconds from one window to the next.  [default: one window]")
@click.option("--fold", "folds", multiple=True, help="Only the heads of this fold; may be given again.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Only the heads of this seed.")
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="CHECKPOINT",
    help="Folder of the run's encoder, where it is a local one; for several inputs give it once for each.",
)
@head_option
@click.option(
    "--speaker-statistics",
    type=click.Choice(["column", "together"]),
    help="For a run normalised by speaker: the manifest's speakers, or all recordings are one speaker's.",
)
@click.option("--watch", type=FOLDER, help="Predict recordings as they arrive in this folder, until Ctrl-C.")
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["jsonl", "csv", "parquet", "audformat"]),
    default="jsonl",
    show_default=True,
    help="Parquet and audformat (extras) need --out.",
)
@click.option("--out", type=FOLDER, help="File to write, of audformat a folder.  [default: standard output]")
@where_options
def predict(audio: tuple[str, ...], table_format: str, out: Path | None, **options: Any) -> None:
    """Predict recordings with the heads of a run: files, folders, or - for paths on standard input.

    Each path on standard input is answered as it comes. One record per recording: class, scores and their spread over
    folds and seeds, members that were trained on it.

    \b
    Examples:
      sercache predict runs/linear-wavlm-large-emodb call.wav recordings/ > scores.jsonl
      sercache predict runs/linear-wavlm-large-emodb talk.flac --window 5 --step 2.5 --format csv
      sercache predict runs/linear-wavlm-large-emodb --watch incoming/
      sercache predict runs/linear-wavlm-large-emodb --dataset ravdess --format csv
    """
    from sercache.commands.predict import run
    from sercache.experiment.ensemble import PredictOptions

    stream = sys.stdin if "-" in audio else None
    paths = [path for path in audio if path != "-"]
    run(PredictOptions(paths=paths, **options), stream, table_format=table_format, out=out)
