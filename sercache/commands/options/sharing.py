"""The commands that give stores and runs to others, in their forms or by the hub, and fetch them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sercache.commands.options._names import RUN
from sercache.commands.options._shared import FOLDER, cache_option, json_option, root_option, runs_option


@click.command()
@click.argument("what", metavar="STORE|RUN", type=FOLDER)
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "--license",
    "--licence",
    "licence",
    metavar="NAME",
    help="Under which others may use it: cc-by-4.0, other, …  [default: asked on a terminal]",
)
@click.option("--public", is_flag=True, help="Make the repository public; one that exists stays as it is.")
@click.option(
    "--i-have-the-right",
    is_flag=True,
    help="The owners of a corpus that may not be passed on let you pass on what was made of it.",
)
@json_option
def push(as_json: bool, **options: Any) -> None:
    """Send a store or a run to the Hugging Face hub, checked, with a card that says what it is.

    A store goes without its recordings, as a dataset; a run as a model. Log in first: hf auth login.

    \b
    Examples:
      sercache push ~/.cache/sercache/emodb/wavlm-large-0123456789abcdef my-lab/emodb-wavlm --license cc0-1.0
      sercache push runs/layer-attention-wavlm-large-emodb my-lab/emodb-heads --license cc-by-4.0 --public
    """
    from sercache.commands.sharing import push as run
    from sercache.experiment import push as work

    run(work.PushOptions(**options), as_json=as_json)


@click.command()
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--revision", help="A commit, branch or tag of the repository.  [default: the newest]")
@cache_option
@runs_option
@click.option("--name", help="Name of the run folder.  [default: that of the repository]")
@json_option
def pull(as_json: bool, **options: Any) -> None:
    """Fetch a store into the cache, or a run into the folder of runs; every checksum is compared on arrival.

    What was fetched before it was cut off is not fetched again.

    \b
    Example:
      sercache pull my-lab/emodb-wavlm
    """
    from sercache.commands import console
    from sercache.experiment import pull as work

    found = work.run(work.PullOptions(**options))
    if as_json:
        console.print_json(found)


@click.command()
@click.argument("run", metavar="[RUN|STORE]", type=RUN, required=False)
@click.option("--dataset", help="A corpus to write, instead of a run or a store (sercache datasets).")
@root_option
@click.option(
    "--out",
    type=FOLDER,
    help="Folder to write; it must not exist.  [default, but of a run: its name and form]",
)
@click.option(
    "--to",
    metavar="FORM",
    help="What a store becomes: cf, npy, parquet, webdataset; or a corpus: audformat, emobox, huggingface, kaldi, "
    "lhotse, manifest, speechbrain, webdataset.",
)
@click.option("--copy-audio", is_flag=True, help="Of a corpus: with copies of its recordings.")
@click.option("--states", default="all", show_default=True, help="Of a store: blocks, 1-12, …")
@click.option(
    "--shard-size",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="MB of features in a tar or Parquet file.",
)
@click.option("--fold", help="Which training, where the run has several.")
@click.option("--seed", type=int, help="Which training, where the run has several.")
@click.option("--encoder", help="Folder of the checkpoint, where it is a local one that was moved.")
@click.option(
    "--input",
    "number",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of which input, for a head that reads several.",
)
@json_option
def export(run: Path, out: Path | None, as_json: bool, **options: Any) -> None:
    """Write a run's trained encoder (--finetune-from) as a Hugging Face folder, or a store for others' loaders.

    \b
    Examples:
      sercache export runs/speaker-id-wav2vec2-base-voxceleb1 --out encoders/speaker-id
      sercache export ~/.cache/sercache/emodb/wavlm-large-0123456789abcdef --to webdataset --states 12
    """
    from sercache.commands import console
    from sercache.experiment.export import ExportOptions
    from sercache.experiment.export import run as write

    written = write(ExportOptions(run, out, **options))
    if as_json:
        console.print_json({"folder": written})


COMMANDS = (export, push, pull)
