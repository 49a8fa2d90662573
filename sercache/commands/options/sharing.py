"""The commands that send stores and runs to the hub, and fetch them."""

from __future__ import annotations

from typing import Any

import click

from sercache.commands.options._shared import FOLDER, cache_option, json_option, runs_option


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


COMMANDS = (push, pull)
