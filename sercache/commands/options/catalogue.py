"""The commands that say what there is: corpora, encoders, heads, settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sercache.commands.options._names import CORPUS, ENCODER, HEAD
from sercache.commands.options._shared import FOLDER, dataset_option, json_option, root_option


@click.command()
@click.argument("name", type=CORPUS, metavar="[NAME]", required=False)
@click.option(
    "--counts", is_flag=True, help="Read the corpus and count utterances by session, sex and class."
)
@click.option("--task", help="Label map that --counts counts.  [default: the corpus']")
@click.option("--example", type=FOLDER, help="New folder to write a small example to, with tones for speech.")
@json_option
@root_option
def datasets(
    name: str | None, counts: bool, task: str | None, example: Path | None, root: Path | None, as_json: bool
) -> None:
    """List the corpora that can be read, or show one: expected tree, tasks, splits, licence.

    \b
    Example:
      sercache datasets iemocap
      sercache datasets iemocap --counts
      sercache datasets iemocap --example ./iemocap-example
    """
    if as_json and example:
        raise click.UsageError("--json goes with lists and counts, and --example writes a folder")
    if example is not None:
        if not name or counts or task or root:
            raise click.UsageError("--example goes with the name of a corpus, and with nothing else")
        from sercache.experiment import catalogue as work

        work.write_example(name, example)
        return
    if name and counts:
        from sercache.commands.counts import run as count

        count(name, root=root, task=task, as_json=as_json)
        return
    if counts or task or root:
        raise click.UsageError("--counts goes with the name of a corpus, --task and --root with --counts")
    from sercache.commands.catalogue import datasets as run

    run(name, as_json=as_json)


@click.command()
@dataset_option(required=True)
@root_option
@click.option("--task", help="The copy is meant to hold only what this task labels: check just that.")
@click.option("--deep", is_flag=True, help="Decode every utterance: silence, damage, equal audio.")
@json_option
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
@click.argument("name", type=ENCODER, metavar="[NAME]", required=False)
@json_option
def encoders(name: str | None, as_json: bool) -> None:
    """List the encoders that have short names, or show one: blocks, dimensions, size, licence, training.

    Any Hugging Face id or local folder of these families works beside them. Nothing is downloaded to show one.

    \b
    Examples:
      sercache encoders
      sercache encoders wavlm-large
    """
    from sercache.commands.catalogue import encoders as run

    run(name, as_json=as_json)


@click.command()
@click.argument("name", type=HEAD, metavar="[NAME]", required=False)
@json_option
def heads(name: str | None, as_json: bool) -> None:
    """List the heads, or show one: source, published set-up, recipe.

    \b
    Example:
      sercache heads layer-attention
    """
    from sercache.commands.catalogue import heads as run

    run(name, as_json=as_json)


@click.command()
@click.argument("name")
@json_option
def check(name: str, as_json: bool) -> None:
    """Check that a file of your own, or one that is installed, keeps the contract of a head, corpus or encoder.

    \b
    Examples:
      sercache check ./my_head.py
      sercache check linear
    """
    from sercache.commands.check import run

    run(name, as_json=as_json)


@click.command()
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@json_option
def config(settings: tuple[str, ...], as_json: bool) -> None:
    """Show the settings and where each comes from, or change the configuration file.

    Keys: cache, runs, device, roots.<dataset> (where a corpus lies), encoders.<name> (a checkpoint folder under a
    name of your own). An empty value removes a setting.

    \b
    Examples:
      sercache config
      sercache config cache=/scratch/sercache roots.iemocap=/data/IEMOCAP_full_release
      sercache config encoders.wenet-gigaspeech=/models/wenet-gigaspeech
    """
    from sercache.commands import config, console
    from sercache.experiment import configured

    console.told(configured.run(settings), config.shown, as_json)


@click.command()
@click.argument("kind", type=click.Choice(["head", "corpus", "encoder"]))
@click.argument("name")
@click.option("--folder", type=FOLDER, default=Path(), show_default=True, help="Where to write it.")
@json_option
def new(kind: Any, name: str, folder: Path, as_json: bool) -> None:
    """Write the file of a new head, corpus or encoder: a small one that works and passes `check`, to be changed.

    \b
    Examples:
      sercache new head my-head
      sercache new corpus my-corpus --folder readers
    """
    from sercache.commands.catalogue import written

    written(kind, name, folder, as_json=as_json)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, heads, corpora, encoders, runs and stores.

    \b
    Examples:
      eval "$(sercache completion bash)"
      eval "$(sercache completion zsh)"
      sercache completion fish > ~/.config/fish/completions/sercache.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    click.echo(kind(root.command, {}, "sercache", "_SERCACHE_COMPLETE").source())


COMMANDS = (datasets, doctor, encoders, heads, check, new, config, completion)
