"""The commands that keep the disk in order: other types and formats, stores as one, and what is needed no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sercache.commands.options._names import STORE
from sercache.commands.options._shared import FOLDER, cache_option, json_option, runs_option


@click.command()
@click.argument("store", type=FOLDER)
@click.option(
    "--dtype",
    type=click.Choice(["float16", "bfloat16", "float32", "int8"]),
    help="Of the sequences; int8 has a scale for each frame, and loses some of them.  [default: as it is]",
)
@click.option("--format", "store_format", type=click.Choice(["zarr", "hdf5"]), help="[default: as it is]")
@cache_option
@json_option
def convert(as_json: bool, **options: Any) -> None:
    """Make a store of another type or format of one that is there; nothing is encoded, and the old one stays.

    It is a store with a digest of its own. Cut off, the same command goes on with what was converted.

    \b
    Examples:
      sercache convert ~/.cache/sercache/iemocap/wavlm-large-0123456789abcdef --dtype float16
      sercache convert ~/.cache/sercache/iemocap/wavlm-large-0123456789abcdef --dtype int8 --format hdf5
    """
    from sercache.commands import console
    from sercache.experiment import convert as work

    found = work.run(work.ConvertOptions(**options))
    if as_json:
        console.print_json(found)


@click.command()
@click.argument("stores", nargs=-1, type=STORE, required=True)
@click.option("--into", type=FOLDER, help="Store that is made or filled.  [default: its place in the cache]")
@cache_option
@click.option("--remove-sources", is_flag=True, help="Remove the stores, once the result was checked.")
@json_option
def merge(stores: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Make one store of several of one spec, made on two machines or of parts of a corpus; nothing is encoded.

    Equal ids with equal recordings and features are one entry, with other features an error that names them.

    \b
    Example:
      sercache merge /mnt/left/wavlm-large-0123456789abcdef /mnt/right/wavlm-large-0123456789abcdef
    """
    from sercache.commands import console
    from sercache.experiment import merge as work

    found = work.run(work.MergeOptions(stores, **options))
    if as_json:
        console.print_json(found)


@click.command()
@click.argument("stores", nargs=-1, type=STORE)
@click.option("--keep-states", help="States that stay: 6,9, 1-12, blocks, …")
@click.option("--drop-states", help="States that go: input, 1-5, …")
@click.option("--to", type=click.Choice(["pooled"]), help="Drop sequences; means and deviations stay.")
@click.option("--runs-without-store", is_flag=True, help="Runs whose features no store of the cache holds.")
@click.option(
    "--leftovers", is_flag=True, help="Unfinished stores and runs, and what killed processes left behind."
)
@click.option(
    "--older",
    type=click.FloatRange(0),
    default=7.0,
    show_default=True,
    help="Days since something unfinished was written to.",
)
@click.option("--force", is_flag=True, help="Drop what a run still reads.")
@click.option("--dry-run", "only_listed", is_flag=True, help="List what would go, with sizes, and stop.")
@runs_option
@cache_option
@json_option
def prune(as_json: bool, **options: Any) -> None:
    """Give disk back: states and sequences of stores, runs without their store, leftovers. Lists what goes first.

    What stays of a store is a store with a digest of its own, checked before the old one goes. What a run still reads
    goes only with --force.

    \b
    Examples:
      sercache prune ~/.cache/sercache/iemocap/wavlm-large-0123456789abcdef --keep-states 6-12 --dry-run
      sercache prune ~/.cache/sercache/iemocap/wavlm-large-0123456789abcdef --to pooled
      sercache prune --leftovers --runs-without-store --dry-run
    """
    from sercache.commands import console
    from sercache.experiment import prune as work

    found = work.run(work.PruneOptions(**options))
    if as_json:
        console.print_json(found)


COMMANDS = (convert, merge, prune)
