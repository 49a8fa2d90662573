"""The `sercache` command: options and help. What a command does lies in sercache.commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sercache import __version__
from sercache.catalog import unknown
from sercache.errors import SercacheError, UnknownNameError

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_FOLDER = click.Path(path_type=Path)


def _options(*decorators: Callable) -> Callable:
    """Several click options as one decorator, so that commands share them word for word."""

    def decorate(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


_where = _options(
    click.option("--cache", type=_FOLDER, help="Folder of the feature stores."),
    click.option("--device", help="cpu, cuda, cuda:1, mps or auto."),
)
_root = click.option("--root", type=_FOLDER, help="The corpus' folder; remembered once it was extracted.")
_runs = click.option("--runs", type=_FOLDER, help="Folder that runs are written to.")


class _Commands(click.Group):
    """Commands, with the nearest name for one that does not exist."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UnknownNameError(unknown("command", args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="sercache")
def cli() -> None:
    """Run a frozen speech encoder once; train any number of emotion heads from the cache.

    \b
    Example:
      sercache extract --encoder wavlm-large --dataset iemocap --root /data/IEMOCAP_full_release
      sercache train --head layer-attention
    """


@cli.command()
@click.option("--encoder", required=True, help="Short name, Hugging Face id, or local folder.")
@click.option("--dataset", required=True, help="Corpus name (sercache datasets).")
@_root
@_where
@click.option("--devices", help="Several devices, a process for each: cuda:0,cuda:1.")
@click.option("--revision", help="Commit of the weights on the hub.")
@click.option(
    "--for", "for_head", metavar="HEAD", help="Take states, clip rule and kind from a head's paper."
)
@click.option("--states", help="all, blocks, projection+blocks, 1-12, final, …  [default: all]")
@click.option(
    "--clip",
    help="none, trim:15, split:5, window:30:5, repeat:3, repeat:3+trim:15 (seconds).  [default: none]",
)
@click.option("--pooled-only", is_flag=True, help="Keep means and deviations over time, no sequences.")
@click.option(
    "--dtype", type=click.Choice(["float16", "bfloat16", "float32"]), default="float16", show_default=True
)
@click.option(
    "--format", "store_format", type=click.Choice(["zarr", "hdf5"]), default="zarr", show_default=True
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Of the encoder's arithmetic; float32 is exact.",
)
@click.option(
    "--task",
    help="Only utterances that this task labels (4class, 4class@improvised, avd, map.toml, …), or all.  "
    "[default: the corpus']",
)
@click.option("--language", help="Only utterances in this language: en, zh, …")
@click.option("--limit", type=click.IntRange(1), help="Only the first utterances, to try things out.")
@click.option(
    "--transcripts",
    type=_FOLDER,
    help="For encoders of text: a CSV, TSV or JSON-lines file of id and text.  [default: the corpus' own]",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Threads that decode audio, for each device.  [default: 2; with CUDA all cores, at most 16]",
)
@click.option(
    "--seal-every",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Most seconds a crash can cost.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
def extract(**options: Any) -> None:
    """Run an encoder over a corpus and write its states into a store. Continues where it was stopped.

    \b
    Examples:
      sercache extract --encoder wavlm-large --dataset iemocap --root /data/IEMOCAP_full_release
      sercache extract --encoder wavlm-large --dataset iemocap --for layer-attention
      sercache extract --encoder path/to/hf/folder --dataset emodb --root /data/emodb --states blocks
    """
    from sercache.commands.extract import Request, run

    run(Request(**options))


@cli.command()
@click.option("--model", required=True, help="Whisper or CTC model (Hugging Face id, folder), WeNet folder.")
@click.option("--dataset", required=True, help="Corpus name (sercache datasets).")
@click.option(
    "--out", type=_FOLDER, required=True, help="File to write, .csv or .tsv; what it holds is kept."
)
@_root
@_where
@click.option("--revision", help="Commit of the weights on the hub.")
@click.option("--task", help="Only utterances that this task labels, or all.  [default: the corpus']")
@click.option("--language", help="Only utterances in this language: en, zh, …")
@click.option("--limit", type=click.IntRange(1), help="Only the first utterances, to try things out.")
def transcribe(**options: Any) -> None:
    """Write down what a recogniser hears, for --transcripts, and its word and character error rate.

    \b
    Example:
      sercache transcribe --model openai/whisper-base.en --dataset iemocap --out iemocap-whisper.csv
    """
    from sercache.commands.transcribe import Request, run

    run(Request(**options))


@cli.command()
@click.option("--head", required=True, help="Head name (sercache heads).")
@click.option("--encoder", help="Which cache to read.  [default: the head's published encoder]")
@click.option("--dataset", help="Corpus.  [default: the head's published corpus]")
@_root
@_where
@_runs
@click.option("--store", type=_FOLDER, help="A store folder, where several would fit.")
@click.option("--task", help="Label map of the corpus (sercache datasets NAME), or a .toml file of yours.")
@click.option(
    "--protocol", help="leave-one-session-out, leave-one-speaker-out, kfold:5, fixed:NAME, fixed:FILE, …"
)
@click.option(
    "--dev", help="Where the dev part comes from: none, next, last, random20, balanced20, superb20, …"
)
@click.option("--states", help="all, blocks, projection+blocks, 1-12, final, …")
@click.option("--clip", help="Clip rule of the cache: none, trim:15, split:5, repeat:3+trim:15.")
@click.option("--frames/--pooled", default=None, help="Read full sequences, or means over time.")
@click.option(
    "--normalise", type=click.Choice(["none", "global", "speaker"]), help="Scope of mean and variance."
)
@click.option("--max-frames", type=click.IntRange(1), help="Keep the first frames of each utterance.")
@click.option(
    "--beside",
    multiple=True,
    metavar="ENCODER[:STATES[:KIND]]",
    help="A further input of a head that reads several; KIND is pooled or frames.",
)
@click.option("--target", help="Of a task that gives numbers (avd, shares), the one to train.")
@click.option(
    "--test-on",
    multiple=True,
    metavar="DATASET[:TASK],…",
    help="Other corpora that every trained head is tested on.",
)
@click.option(
    "--finetune-from",
    metavar="STATE[,STATE…]",
    help="Train the encoder's blocks above this cached state (conv, 6, …) with the head; of several inputs one state "
    "each, - for frozen; none: leave all frozen.",
)
@click.option(
    "--start-from",
    multiple=True,
    metavar="[PART=]RUN",
    help="Initial weights: those of an earlier run of this head, or of the part that it names.",
)
@click.option("--seeds", type=click.IntRange(1), help="How many seeds.  [default: as published]")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a recipe field: lr=1e-3."
)
@click.option(
    "--option", "head_options", multiple=True, metavar="NAME=VALUE", help="Change an option of the head."
)
@click.option("--name", help="Name of the run folder; one that was cut off is continued.")
@click.option("--serial", is_flag=True, help="Train folds and seeds one after another, for comparison.")
@click.option(
    "--share-order", is_flag=True, help="Let the seeds of a fold see the same batches (a deviation)."
)
@click.option(
    "--deterministic", is_flag=True, help="Refuse operations that are not repeatable on this device."
)
@click.option("--track", is_flag=True, help="Write TensorBoard events beside epochs.csv (extra track).")
def train(**options: Any) -> None:
    """Train a head from the cache over all folds and seeds, and write a run folder.

    A head's published encoder, corpus, protocol and recipe are the defaults.

    \b
    Examples:
      sercache train --head layer-attention
      sercache train --head weighted-dense --encoder wav2vec2-base --dataset ravdess --seeds 5
      sercache train --head superb --encoder hubert-base --dataset emodb --set lr=1e-3 --set max-epochs=30
      sercache train --head layer-attention --protocol all --test-on emodb,aesdd,mesd
    """
    from sercache.commands.train import Request, run

    run(Request(**options))


@cli.command()
@click.argument("run", type=_FOLDER)
@click.option("--dataset", required=True, help="The corpus to test on (sercache datasets).")
@click.option("--task", help="Its task.  [default: the one that is called as the run's]")
@click.option(
    "--encoder", help="Where the checkpoint lies, for a run with --finetune-from of a local folder."
)
@_root
@_where
def evaluate(**options: Any) -> None:
    """Test the heads of a finished run on all of another corpus; writes RUN/on-DATASET[-TASK].

    \b
    Example:
      sercache evaluate runs/layer-attention-wavlm-large-iemocap --dataset emodb
    """
    from sercache.commands.evaluate import Request, run

    run(Request(**options))


@cli.command("map")
@click.argument("run", type=_FOLDER)
@click.option("--dataset", required=True, help="Whose utterances (sercache datasets).")
@click.option(
    "--by",
    type=click.Choice(["speaker", "label", "predicted"]),
    default="speaker",
    show_default=True,
    help="What colours the dots.",
)
@click.option("--task", help="Labels of the corpus.  [default: the task that is called as the run's]")
@click.option("--clip", help="Clip rule of the cache: repeat:1+trim:15, …  [default: the run's]")
@click.option("--fold", help="Which training, where the run has several.")
@click.option("--seed", type=int, help="Which training, where the run has several.")
@click.option(
    "--encoder", help="Where the checkpoint lies, for a run with --finetune-from of a local folder."
)
@_root
@_where
def map_(**options: Any) -> None:
    """Draw the vectors of a run's head in the plane (t-SNE); writes RUN/map-DATASET-BY.png and .csv.

    \b
    Example:
      sercache map runs/speaker-id-wav2vec2-base-voxceleb1 --dataset iemocap --by speaker
    """
    from sercache.commands.map import Request, run

    run(Request(**options))


@cli.command()
@click.option("--encoder", required=True, help="Which cache to read.")
@click.option("--dataset", required=True, help="Corpus name (sercache datasets).")
@_root
@click.option("--cache", type=_FOLDER, help="Folder of the feature stores.")
@_runs
@click.option("--task", help="Label map of the corpus.  [default: the corpus']")
@click.option("--protocol", help="How folds are made.  [default: the corpus']")
@click.option("--states", default="all", show_default=True, help="Which states: blocks, 1-12, …")
@click.option("--clip", help="Clip rule of the cache.")
@click.option(
    "--c", type=click.FloatRange(0, min_open=True), default=0.01, show_default=True,
    help="One over the strength of the penalty (scikit-learn's C).",
)  # fmt: skip
def probe(**options: Any) -> None:
    """Show what each state of an encoder tells: UA of logistic regression on its means, with a plot.

    \b
    Example:
      sercache probe --encoder wavlm-large --dataset emodb
    """
    from sercache.commands.probe import Request, run

    run(Request(**options))


@cli.command()
@click.argument("run", type=_FOLDER)
@click.option("--on", metavar="DATASET[:TASK]", help="Another corpus that the run was tested on.")
@_root
@click.option("--cache", type=_FOLDER, help="Folder of the feature stores.")
@click.option(
    "--unit", type=click.Choice(["utterance", "word"]), default="utterance", show_default=True,
    help="What a lexical item is.",
)  # fmt: skip
@click.option("--weighted", is_flag=True, help="Weigh items by how often the class goes with them.")
def lexical(**options: Any) -> None:
    """Show how much a run's predictions depend on the words: PPMI of transcripts and predicted classes.

    \b
    Example:
      sercache lexical runs/layer-attention-wavlm-large-iemocap --on mesd
    """
    from sercache.commands.lexical import Request, run

    run(Request(**options))


@cli.command()
@click.option("--head", required=True, help="Head name (sercache heads).")
@click.option(
    "--grid",
    multiple=True,
    required=True,
    metavar="NAME=VALUE,…",
    help="Values of a recipe field, an option of the head, states or normalise; separate states by ;.",
)
@click.option("--name", required=True, help="Name of the sweep's folder; one that was cut off is continued.")
@click.option(
    "--on",
    type=click.Choice(["dev-ua", "dev-wa", "dev-loss", "dev-rho", "dev-ccc"]),
    help="What selects.  [default: dev-ua for classes, dev-rho for numbers]",
)
@click.option(
    "--trials", type=click.IntRange(1), help="Draw this many points by Optuna (extra tune), not all of them."
)
@click.option("--encoder", help="Which cache to read.  [default: the head's published encoder]")
@click.option("--dataset", help="Corpus.  [default: the head's published corpus]")
@_root
@_where
@_runs
@click.option("--task", help="Label map of the corpus.")
@click.option("--protocol", help="As for train.")
@click.option("--dev", help="Where the dev part comes from: it selects, so it must not be none.")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds.  [default: as published]")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a recipe field.")
@click.option("--serial", is_flag=True, help="Train folds and seeds one after another.")
def sweep(**options: Any) -> None:
    """Train a head at every point of a grid, select on dev alone, and test what was selected.

    \b
    Example:
      sercache sweep --head superb --dataset emodb --dev next --grid lr=1e-3,1e-4 --grid "states=all;6" --name lr
    """
    from sercache.commands.sweep import Request, run

    run(Request(**options))


@cli.command()
@click.argument("stores", nargs=-1, type=_FOLDER)
@_where
def info(stores: tuple[Path, ...], cache: Path | None, device: str | None) -> None:
    """Show the stores of the cache, or all there is to know of some.

    \b
    Examples:
      sercache info
      sercache info ~/.cache/sercache/emodb/wavlm-large-0123456789abcdef
    """
    from sercache.commands.inspect import info as run

    run(stores, cache)


@cli.command()
@click.argument("stores", nargs=-1, type=_FOLDER)
@_root
@_where
@click.option("--repair", is_flag=True, help="Extract what is damaged anew.")
def verify(stores: tuple[Path, ...], **options: Any) -> None:
    """Check every checksum of the stores; exit code 2 where something is damaged.

    \b
    Examples:
      sercache verify
      sercache verify --repair
    """
    from sercache.commands.verify import run

    run(stores, **options)


@cli.command()
@click.option("--dataset", required=True, help="Corpus name (sercache datasets).")
@_root
@click.option("--task", help="The copy is meant to hold only what this task labels: check just that.")
@click.option("--deep", is_flag=True, help="Decode every utterance: silence, damage, equal sound.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(dataset: str, root: Path | None, task: str | None, deep: bool, as_json: bool) -> None:
    """Check up a copy of a corpus: completeness, broken files, equal sound. Exit code 1 on problems.

    \b
    Examples:
      sercache doctor --dataset iemocap --root /data/IEMOCAP_full_release
      sercache doctor --dataset emodb --task 4class --deep --json
    """
    from sercache.commands.doctor import Request, run

    sys.exit(run(Request(dataset, root, task, deep, as_json)))


@cli.command()
@click.argument("name", required=False)
@click.option(
    "--counts", is_flag=True, help="Read the corpus and count utterances by session, sex and class."
)
@click.option("--task", help="Label map that --counts counts.  [default: the corpus']")
@_root
def datasets(name: str | None, counts: bool, task: str | None, root: Path | None) -> None:
    """List the corpora that can be read, or show one: expected tree, tasks, splits, licence.

    \b
    Example:
      sercache datasets iemocap
      sercache datasets iemocap --counts
    """
    if name and counts:
        from sercache.commands.counts import run as count

        count(name, root=root, task=task)
        return
    if counts or task or root:
        raise click.UsageError("--counts goes with the name of a corpus, --task and --root with --counts")
    from sercache.commands.inspect import datasets as run

    run(name)


@cli.command()
@click.argument("name", required=False)
def encoders(name: str | None) -> None:
    """List the encoders that have short names; any Hugging Face id or local folder works beside them.

    \b
    Example:
      sercache encoders
    """
    from sercache.commands.inspect import encoders as run

    run(name)


@cli.command()
@click.argument("name", required=False)
def heads(name: str | None) -> None:
    """List the heads, or show one: source, published set-up, recipe.

    \b
    Example:
      sercache heads layer-attention
    """
    from sercache.commands.inspect import heads as run

    run(name)


@cli.command()
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
def config(settings: tuple[str, ...]) -> None:
    """Show the settings and where each comes from, or change the configuration file.

    Keys: cache, runs, device, roots.<dataset>. An empty value removes a setting.

    \b
    Examples:
      sercache config
      sercache config cache=/scratch/sercache roots.iemocap=/data/IEMOCAP_full_release
    """
    from sercache.commands.config import run

    run(settings)


@cli.command()
@click.argument("runs", nargs=-1, type=_FOLDER)
@click.option(
    "--format", "table_format", type=click.Choice(["text", "markdown", "csv", "latex"]), default="text"
)
def report(runs: tuple[Path, ...], table_format: Any) -> None:
    """Print runs side by side as one table; without names, all in the runs folder.

    \b
    Example:
      sercache report runs/layer-attention-* --format markdown
    """
    from sercache.commands.report import run

    run(runs, table_format)


@cli.command()
@click.argument("run", type=_FOLDER)
@click.option("--out", type=_FOLDER, required=True, help="Folder to write; it must not exist.")
@click.option("--fold", help="Which training, where the run has several.")
@click.option("--seed", type=int, help="Which training, where the run has several.")
@click.option("--encoder", help="Where the checkpoint lies, for one that is a local folder.")
@click.option(
    "--input",
    "number",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of which input, for a head that reads several.",
)
def export(run: Path, out: Path, **options: Any) -> None:
    """Write an encoder that was trained with its head (--finetune-from) as a Hugging Face folder.

    \b
    Example:
      sercache export runs/speaker-id-wav2vec2-base-voxceleb1 --out encoders/speaker-id
    """
    from sercache.commands.export import run as write

    write(run, out, **options)


@cli.command()
@click.argument("paper", required=False)
@click.argument("table", required=False)
@_root
@_where
@_runs
@click.option("--rows", help="Only rows whose name contains this.")
@click.option("--only-available", is_flag=True, help="Leave out rows whose corpus or checkpoint is not here.")
@click.option("--extract/--no-extract", "may_extract", default=True, help="Extract what the cache lacks.")
@click.option("--seeds", type=click.IntRange(1), help="At most so many seeds.  [default: as published]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a recipe field of every trial: max-epochs=1. Kept apart, and said in the table.",
)
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="NAME=CHECKPOINT",
    help="Take a local folder or another encoder where the table says NAME.",
)
def reproduce(**options: Any) -> None:
    """Print a paper's table with ours beside the printed numbers; finished trials are kept.

    Without a table: list all papers and tables, what is done and what is missing.

    \b
    Examples:
      sercache reproduce
      sercache reproduce ioannides2023 table2
      sercache reproduce pepino2021 table1 --rows eGeMAPS --only-available
    """
    from sercache.commands.reproduce import Request, run

    run(Request(**options))


def main() -> None:
    """Entry point: one line per mistake, exit code 2 for the user's, 1 for ours, 130 when interrupted."""
    # Before torch is loaded: threads that wait sleep instead of spinning (docs/decisions/0005).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        cli.main(prog_name="sercache", standalone_mode=False)
    except click.exceptions.Abort:  # what click makes of Ctrl-C
        click.echo("interrupted; the same command again goes on from what is done", err=True)
        sys.exit(130)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except SercacheError as fault:
        click.echo(f"error: {fault}", err=True)
        sys.exit(fault.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except OSError as fault:
        if fault.filename is None:
            raise
        click.echo(f"error: {fault.filename}: {fault.strerror}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
