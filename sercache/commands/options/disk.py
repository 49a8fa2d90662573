"""The commands that keep the disk in order: other types and formats, stores as one, and what is needed no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sercache.commands.options._shared import FOLDER, cache_option


@click.command()
@click.argument("store", type=FOLDER)
@click.option(
    "--dtype",
    type=click.Choice(["float16", "bfloat16", "float32", "int8"]),
    help="Of the sequences; int8 has a scale for each frame, and loses some of them.  [default: as it is]",
)
@click.option("--format", "store_format", type=click.Choice(["zarr", "hdf5"]), help="[default: as it is]")
@cache_option
def convert(**options: Any) -> None:
    """Make a store of another type or format of one that is there; nothing is encoded, and the old one stays.

    It is a store with a digest of its own. Cut off, the same command goes on with what was converted.

    \b
    Examples:
      sercache convert ~/.cache/sercache/iemocap/wavlm-large-0123456789abcdef --dtype float16
      sercache convert ~/.cache/sercache/iemocap/wavlm-large-0123456789abcdef --dtype int8 --format hdf5
    """
    from sercache.experiment import convert as work

    work.run(work.ConvertOptions(**options))


@click.command()
@click.argument("stores", nargs=-1, type=FOLDER, required=True)
@click.option("--into", type=FOLDER, help="Store that is made or filled.  [default: its place in the cache]")
@cache_option
@click.option("--remove-sources", is_flag=True, help="Remove the stores, once the result was checked.")
def merge(stores: tuple[Path, ...], **options: Any) -> None:
    """Make one store of several of one spec, made on two machines or of parts of a corpus; nothing is encoded.

    Equal ids with equal recordings and features are one entry, with other features an error that names them.

    \b
    Example:
      sercache merge /mnt/left/wavlm-large-0123456789abcdef /mnt/right/wavlm-large-0123456789abcdef
    """
    from sercache.experiment import merge as work

    work.run(work.MergeOptions(stores, **options))


COMMANDS = (convert, merge)
