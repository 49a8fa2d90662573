"""Options that several commands share word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sercache import text
from sercache.chosen import read_seeds
from sercache.commands.options._names import CORPUS, ENCODER, FOLDER, HEAD, STORE
from sercache.errors import SettingsError


def root_option(function: Callable) -> Callable:
    """``--root``, and how the corpus' text is read, which holds for the whole call."""
    function = click.option(
        "--labels-as-written",
        is_flag=True,
        expose_value=False,
        callback=_as_written,
        help="Keep labels apart that differ only by case, space or form.",
    )(function)
    function = click.option(
        "--encoding",
        expose_value=False,
        callback=_encoding,
        help="Encoding of tables, transcripts and lists that are not UTF-8: gb18030, cp1252, …",
    )(function)
    return click.option("--root", type=FOLDER, help="The corpus' folder; remembered after extract.")(function)


def _encoding(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.with_resource(text.reading_as(encoding=value))


def _as_written(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.with_resource(text.reading_as(labels_as_written=True))


variant_option = click.option(
    "--variant",
    type=click.Choice(["paper", "code"]),
    help="All as the paper's text says, or all as its authors' code does, where they differ (sercache heads NAME).",
)
head_option = click.option(
    "--head",
    metavar="FILE",
    help="File of the run's head, for one that you have not named before or that was a class in Python.",
)
trained_head_option = click.option(
    "--head", type=HEAD, metavar="HEAD", required=True, help="Head name (sercache heads)."
)
format_option = click.option(
    "--format", "table_format", type=click.Choice(["text", "markdown", "csv", "latex"]), default="text"
)
language_option = click.option("--language", help="Only utterances in this language: en, zh, …")
revision_option = click.option("--revision", help="Commit of the weights on the hub.")
limit_option = click.option(
    "--limit", type=click.IntRange(1), help="Only the first utterances, to try things out."
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=lambda context, _, value: _apart(context) if value else value,
    help="Print JSON, for programs; all else goes to standard error.",
)
runs_option = click.option("--runs", type=FOLDER, help="Folder that runs are written to.")


def _apart(context: click.Context) -> Any:
    """Send what the work reports to standard error, where it does not mix with the JSON; gives who hears it."""
    from sercache import progress
    from sercache.commands.console import Apart

    heard = Apart()
    context.with_resource(progress.sent_to(heard))
    return heard


class _Seeds(click.ParamType):
    """How many seeds, or which, as ``sercache.chosen`` reads it."""

    name = "N|LIST"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        try:
            read = read_seeds(str(value))
        except SettingsError as fault:
            self.fail(str(fault), param, ctx)
        return read.run if read.part is None else value


SEEDS = _Seeds()
store_option = click.option(
    "--store",
    type=STORE,
    help="A store folder, where several would fit; its encoder and corpus need no names.",
)
cache_option = click.option("--cache", type=FOLDER, help="Folder of the feature stores.")


augmented_option = click.option(
    "--augmented",
    multiple=True,
    metavar="STEPS",
    help="Train on these versions too: noise:snr=20,10, …; see docs.",
)
finetune_option = click.option(
    "--finetune-from",
    metavar="STATE[,STATE…]",
    help="Train the encoder's blocks above this cached state (conv, 6, …) with the head; of several inputs one state "
    "each, - for frozen; none: leave all frozen.",
)
budget_option = click.option(
    "--budget", metavar="TIME", help="Train what fits into 30m, 2h, 1h30m, and say what is left out."
)
dry_run_option = click.option(
    "--dry-run", "only_foretold", is_flag=True, help="Say what it takes, in time and disk, and stop."
)
look_option = click.option(
    "--look", is_flag=True, help="A coarse look, marked as no result: one seed and at most three epochs."
)


def cluster_options(function: Callable) -> Callable:
    """``--cluster`` and how its workers are to be had."""
    function = click.option(
        "--lifetime",
        help="When a worker leaves, and another takes its place: 50m.  [default: before its walltime]",
    )(function)
    function = click.option(
        "--cluster-option",
        "cluster_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="Of a scheduler's jobs: queue=gpu, walltime=02:00:00, cores=4, directive=--gres=gpu:1, …",
    )(function)
    return click.option(
        "--cluster",
        help="Workers that share the work: local:4, slurm:8, pbs:8, sge:8, lsf:8, htcondor:8, tcp://…, file:….",
    )(function)


def duplicates_option(
    help: str = "Equal audio: used and counted, or never both trained on and tested.  [default: keep]",
) -> Callable:
    """``--duplicates``."""
    return click.option("--duplicates", type=click.Choice(["keep", "apart"]), help=help)


def dataset_option(help: str = "Corpus name (sercache datasets).", *, required: bool = False) -> Callable:
    """``--dataset``, by a name that a shell completes."""
    return click.option("--dataset", type=CORPUS, metavar="DATASET", required=required, help=help)


def encoder_option(help: str, *, required: bool = False) -> Callable:
    """``--encoder``, by a name that a shell completes."""
    return click.option("--encoder", type=ENCODER, metavar="ENCODER", required=required, help=help)


def published_options(function: Callable) -> Callable:
    """What a head reads, as its paper has it where it is not given; and the folders."""
    for option in (
        runs_option,
        where_options,
        root_option,
        dataset_option("Corpus.  [default: the head's published corpus]"),
        encoder_option("Which cache to read.  [default: the head's published encoder]"),
    ):
        function = option(function)
    return function


def where_options(function: Callable) -> Callable:
    """``--cache`` and ``--device``."""
    return cache_option(click.option("--device", help="cpu, cuda, cuda:1, mps or auto.")(function))
