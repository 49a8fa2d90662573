"""The commands that say what there is: corpora, encoders, heads, settings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sercache.commands.options._shared import FOLDER, root_option


@click.command()
@click.argument("name", required=False)
@click.option(
    "--counts", is_flag=True, help="Read the corpus and count utterances by session, sex and class."
)
@click.option("--task", help="Label map that --counts counts.  [default: the corpus']")
@click.option("--example", type=FOLDER, help="New folder to write a small example to, with tones for speech.")
@root_option
def datasets(
    name: str | None, counts: bool, task: str | None, example: Path | None, root: Path | None
) -> None:
    """List the corpora that can be read, or show one: expected tree, tasks, splits, licence.

    \b
    Example:
      sercache datasets iemocap
      sercache datasets iemocap --counts
      sercache datasets iemocap --example ./iemocap-example
    """
    if example is not None:
        if not name or counts or task or root:
            raise click.UsageError("--example goes with the name of a corpus, and with nothing else")
        from sercache.commands.catalogue import write_example

        write_example(name, example)
        return
    if name and counts:
        from sercache.commands.counts import run as count

        count(name, root=root, task=task)
        return
    if counts or task or root:
        raise click.UsageError("--counts goes with the name of a corpus, --task and --root with --counts")
    from sercache.commands.catalogue import datasets as run

    run(name)


@click.command()
@click.option("--dataset", required=True, help="Corpus name (sercache datasets).")
@root_option
@click.option("--task", help="The copy is meant to hold only what this task labels: check just that.")
@click.option("--deep", is_flag=True, help="Decode every utterance: silence, damage, equal audio.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(dataset: str, root: Path | None, task: str | None, deep: bool, as_json: bool) -> None:
    """Check a copy of a corpus: completeness, broken files, equal audio. Exit code 1 on problems.

    \b
    Examples:
      sercache doctor --dataset iemocap --root /data/IEMOCAP_full_release
      sercache doctor --dataset emodb --task 4class --deep --json
    """
    from sercache.commands.doctor import run
    from sercache.experiment.doctor import DoctorOptions

    sys.exit(run(DoctorOptions(dataset, root, task, deep), as_json=as_json))


@click.command()
@click.argument("name", required=False)
def encoders(name: str | None) -> None:
    """List the encoders that have short names; any Hugging Face id or local folder works beside them.

    \b
    Example:
      sercache encoders
    """
    from sercache.commands.catalogue import encoders as run

    run(name)


@click.command()
@click.argument("name", required=False)
def heads(name: str | None) -> None:
    """List the heads, or show one: source, published set-up, recipe.

    \b
    Example:
      sercache heads layer-attention
    """
    from sercache.commands.catalogue import heads as run

    run(name)


@click.command()
@click.argument("name")
def check(name: str) -> None:
    """Check that a file of your own, or one that is installed, keeps the contract of a head, corpus or encoder.

    \b
    Examples:
      sercache check ./my_head.py
      sercache check linear
    """
    from sercache.commands.check import run

    run(name)


@click.command()
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
def config(settings: tuple[str, ...]) -> None:
    """Show the settings and where each comes from, or change the configuration file.

    Keys: cache, runs, device, roots.<dataset> (where a corpus lies), encoders.<name> (a checkpoint folder under a
    name of your own). An empty value removes a setting.

    \b
    Examples:
      sercache config
      sercache config cache=/scratch/sercache roots.iemocap=/data/IEMOCAP_full_release
      sercache config encoders.wenet-gigaspeech=/models/wenet-gigaspeech
    """
    from sercache.commands.config import run

    run(settings)


COMMANDS = (datasets, doctor, encoders, heads, check, config)
