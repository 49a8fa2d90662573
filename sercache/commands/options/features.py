"""The commands that make and keep feature stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sercache.commands.options._names import STORE
from sercache.commands.options._shared import (
    FOLDER,
    cache_option,
    cluster_options,
    dataset_option,
    encoder_option,
    json_option,
    language_option,
    limit_option,
    revision_option,
    root_option,
    where_options,
)


@click.command()
@encoder_option("Short name, Hugging Face id, or local folder.", required=True)
@dataset_option(required=True)
@root_option
@where_options
@click.option("--devices", help="Several devices, a process for each: cuda:0,cuda:1.")
@revision_option
@click.option(
    "--for", "for_head", metavar="HEAD", help="Take states, clip rule and kind from a head's paper."
)
@click.option("--states", help="all, blocks, projection+blocks, 1-12, final, …  [default: all]")
@click.option(
    "--clip",
    help="none, trim:15, split:5, window:30:5, repeat:3+trim:15, whole (s), vad, silence:40 (dB).  [default: none]",
)
@click.option(
    "--augment", metavar="STEPS", help="Done first: noise:snr=10, reverb:rt60=0.5+codec:mulaw, …; see docs."
)
@click.option("--variants", type=click.IntRange(1), help="So many draws of it, a store each.")
@click.option("--pooled-only", is_flag=True, help="Keep means and deviations over time, no sequences.")
@click.option(
    "--dtype",
    type=click.Choice(["float16", "bfloat16", "float32", "int8"]),
    default="float16",
    show_default=True,
    help="Of sequences; int8 has a scale for each frame, and loses some of them.",
)
@click.option(
    "--format", "store_format", type=click.Choice(["zarr", "hdf5"]), default="zarr", show_default=True
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Precision of the encoder's arithmetic; float32 is exact.",
)
@click.option(
    "--task",
    help="Only utterances that this task labels (4class, 4class@improvised, avd, map.toml, …), or all.  "
    "[default: the corpus']",
)
@language_option
@limit_option
@click.option(
    "--transcripts",
    type=FOLDER,
    help="For encoders of text: a CSV, TSV or JSON-lines file of id and text.  [default: the corpus' own]",
)
@click.option(
    "--keep-transcripts/--drop-transcripts",
    default=None,
    help="Texts or digests in the store's table of the corpus.  [default: as it has them, else digests]",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Threads that decode audio, per device.  [default: 2; with CUDA all cores, at most 16]",
)
@click.option(
    "--seal-every",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds of work that a crash can cost at most.",
)
@click.option(
    "--shard",
    metavar="K/N",
    help="Only the K-th of N parts of the work.  [default: all, in a Slurm array beginning with the task's part]",
)
@cluster_options
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@json_option
def extract(as_json: bool, **options: Any) -> None:
    """Run an encoder over a corpus and write its states into a store. Continues where it was stopped.

    The same command may run any number of times at once, on any hosts that see the cache: they share the work.

    \b
    Examples:
      sercache extract --encoder wavlm-large --dataset iemocap --root /data/IEMOCAP_full_release
      sercache extract --encoder wavlm-large --dataset iemocap --for layer-attention
      sercache extract --encoder path/to/hf/folder --dataset emodb --root /data/emodb --states blocks
    """
    from sercache.commands import console
    from sercache.experiment import info
    from sercache.experiment.extract import ExtractOptions, run_each

    if as_json and options["dry_run"]:
        raise click.UsageError("--json describes the store that is made, and --dry-run makes none")
    folders = run_each(ExtractOptions(**options))
    if as_json:
        console.print_json(*info.run(info.InfoOptions(folders)))


@click.command()
@click.option("--model", required=True, help="Whisper or CTC model (Hugging Face id, folder), WeNet folder.")
@dataset_option(required=True)
@click.option("--out", type=FOLDER, required=True, help="File to write, .csv or .tsv; what it holds is kept.")
@root_option
@where_options
@revision_option
@click.option("--task", help="Only utterances that this task labels, or all.  [default: the corpus']")
@language_option
@limit_option
@json_option
def transcribe(as_json: bool, **options: Any) -> None:
    """Transcribe a corpus with a speech recogniser, for --transcripts; prints word and character error rates.

    \b
    Example:
      sercache transcribe --model openai/whisper-base.en --dataset iemocap --out iemocap-whisper.csv
    """
    from sercache.commands import console
    from sercache.experiment import transcribe as work

    found = work.run(work.TranscribeOptions(**options))
    if as_json:
        console.print_json(found)


@click.command()
@click.argument("stores", nargs=-1, type=STORE)
@cache_option
@click.option(
    "--by", type=click.Choice(["spec", "corpus", "encoder"]), help="Add them up: sizes, utterances, last use."
)
@json_option
def info(stores: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Show the stores of the cache, or everything about those that are named.

    \b
    Examples:
      sercache info
      sercache info ~/.cache/sercache/emodb/wavlm-large-0123456789abcdef
      sercache info --by corpus
    """
    from sercache.commands.inspect import info as run
    from sercache.experiment import info as work

    run(work.InfoOptions(stores, **options), as_json=as_json)


@click.command()
@click.argument("stores", nargs=-1, type=STORE)
@root_option
@where_options
@click.option("--repair", is_flag=True, help="Extract damaged parts again.")
@json_option
def verify(as_json: bool, **options: Any) -> None:
    """Check every checksum of the stores; exit code 2 where something is damaged.

    \b
    Examples:
      sercache verify
      sercache verify --repair
    """
    from sercache.commands import console
    from sercache.experiment import verify as work

    request = work.VerifyOptions(**options)
    found = work.run(request)
    if as_json:
        console.print_json(found)
    work.complain(found, request)


COMMANDS = (extract, transcribe, info, verify)
