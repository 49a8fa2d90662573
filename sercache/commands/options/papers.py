"""The command that makes papers' tables again."""

from __future__ import annotations

from typing import Any

import click

from sercache.commands.options._shared import (
    budget_option,
    cluster_options,
    dry_run_option,
    json_option,
    look_option,
    runs_option,
    variant_option,
    where_options,
)


@click.command()
@click.argument("paper", required=False)
@click.argument("table", required=False)
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="[DATASET=]FOLDER",
    help="Folder of a corpus of the table; with its name where the table reads several.",
)
@where_options
@runs_option
@click.option("--rows", help="Only the row of this name, or those whose names contain it.")
@click.option("--only-available", is_flag=True, help="Leave out rows whose corpus or checkpoint is not here.")
@click.option("--extract/--no-extract", "may_extract", default=True, help="Extract what the cache lacks.")
@click.option("--seeds", type=click.IntRange(1), help="At most so many seeds.  [default: as published]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a recipe field of every trial: max-epochs=1. Kept apart, and stated in the table.",
)
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="NAME[=CHECKPOINT]",
    help="Only rows of NAME; with =, take a local folder or another encoder where the table says NAME.",
)
@click.option("--dataset", "datasets", multiple=True, help="Only rows that read this corpus; again for more.")
@budget_option
@look_option
@dry_run_option
@variant_option
@cluster_options
@json_option
def reproduce(as_json: bool, **options: Any) -> None:
    """Print a paper's table with ours beside the printed numbers; finished trials are kept.

    Without a table: all papers and tables, what is done and missing; with --dataset or --encoder, the first table.

    \b
    Examples:
      sercache reproduce
      sercache reproduce ioannides2023 table2 --root iemocap=/data/IEMOCAP_full_release
      sercache reproduce pepino2021 table1 --root iemocap=/data/IEMOCAP_full_release --root ravdess=/data/RAVDESS
      sercache reproduce pepino2021 table1 --rows eGeMAPS --only-available
      sercache reproduce emobox --dataset emodb --encoder ./whisper-tiny --root emodb=EMODB --root emobox=EmoBox
    """
    from sercache.commands._papers import run
    from sercache.reproduction.paper import ReproduceOptions

    run(ReproduceOptions(**options), as_json=as_json)
