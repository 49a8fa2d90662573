"""The commands that train heads and test what was trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sercache.commands.options._names import RUN
from sercache.commands.options._shared import (
    SEEDS,
    augmented_option,
    budget_option,
    cache_option,
    cluster_options,
    dataset_option,
    dry_run_option,
    duplicates_option,
    encoder_option,
    finetune_option,
    head_option,
    json_option,
    look_option,
    published_options,
    root_option,
    runs_option,
    store_option,
    trained_head_option,
    variant_option,
    where_options,
)


def _reading_options(function: Callable) -> Callable:
    """What a training reads, and what it begins with: of ``train``, and of every point of ``sweep``."""
    for option in reversed(_READING):
        function = option(function)
    return function


_READING = (
    store_option,
    click.option(
        "--task", help="Label map of the corpus (sercache datasets NAME), or a .toml file of yours."
    ),
    click.option(
        "--protocol",
        help="leave-one-session-out, leave-one-speaker-out, kfold:5, fixed:NAME, fixed:FILE, …",
    ),
    click.option(
        "--dev",
        help="Where the dev part comes from: none (not in a sweep), next, last, random20, superb20, …",
    ),
    click.option("--states", help="all, blocks, projection+blocks, 1-12, final, …"),
    click.option("--clip", help="Clip rule of the cache: none, trim:15, split:5, repeat:3+trim:15."),
    augmented_option,
    click.option("--frames/--pooled", default=None, help="Read full sequences, or means over time."),
    click.option(
        "--normalise",
        type=click.Choice(["none", "global", "speaker"]),
        help="Scope of mean and variance.",
    ),
    click.option("--max-frames", type=click.IntRange(1), help="Keep the first frames of each utterance."),
    click.option(
        "--beside",
        multiple=True,
        metavar="ENCODER[:STATES[:KIND]]",
        help="A further input of a head that reads several; KIND is pooled or frames.",
    ),
    click.option("--target", help="Which number to train, for tasks that give several (avd, shares)."),
    finetune_option,
    click.option(
        "--start-from",
        multiple=True,
        metavar="[PART=]RUN",
        help="Initial weights: those of an earlier run of this head, or of the part that it names.",
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a recipe field: lr=1e-3."
    ),
    click.option(
        "--option",
        "head_options",
        multiple=True,
        metavar="NAME=VALUE",
        help="Change an option of the head.",
    ),
    variant_option,
)


@click.command()
@trained_head_option
@published_options
@_reading_options
@duplicates_option(
    "Equal audio: used and counted, or never both trained on and tested.  [default: keep; other corpora: refuse]"
)
@click.option(
    "--test-on",
    multiple=True,
    metavar="DATASET[:TASK],…",
    help="Other corpora that every trained head is tested on.",
)
@click.option(
    "--seeds",
    type=SEEDS,
    metavar="N|LIST[/N]",
    help="How many seeds, or which: 5, 0-4, 0,2,7; or a part of the run: 0-4/25.  [default: as published]",
)
@click.option("--folds", help="A part of the run: names of folds, or places from 1: Ses01,Ses02 or 1-3.")
@click.option("--name", help="Name of the run folder; one that was cut off is continued.")
@budget_option
@look_option
@dry_run_option
@click.option("--serial", is_flag=True, help="Train folds and seeds one after another, for comparison.")
@click.option(
    "--share-order", is_flag=True, help="Let the seeds of a fold see the same batches (a deviation)."
)
@click.option(
    "--deterministic", is_flag=True, help="Refuse operations that are not repeatable on this device."
)
@click.option(
    "--track",
    multiple=True,
    is_flag=False,
    flag_value="tensorboard",
    metavar="[TRACKER,…]",
    help="Tell trackers too: tensorboard (alone: this; extra track), mlflow, wandb.",
)
@cluster_options
@json_option
def train(as_json: bool, **options: Any) -> None:
    """Train a head from the cache over all folds and seeds, and write a run folder.

    A head's published encoder, corpus, protocol and recipe are the defaults. Processes that are given the same command,
    on any machines that see the folder of runs, share its trainings and make one run.

    \b
    Examples:
      sercache train --head layer-attention
      sercache train --head weighted-dense --encoder wav2vec2-base --dataset ravdess --seeds 5
      sercache train --head superb --encoder hubert-base --dataset emodb --set lr=1e-3 --set max-epochs=30
      sercache train --head layer-attention --protocol all --test-on emodb,aesdd,mesd
    """
    from sercache.commands import _results, console
    from sercache.experiment.setup import TrainOptions
    from sercache.experiment.train import run

    console.told(run(TrainOptions(**options)), _results.trained, as_json)


@click.command()
@trained_head_option
@click.option(
    "--grid",
    multiple=True,
    required=True,
    metavar="NAME=VALUE,…",
    help="Values of a recipe field, an option of the head, states, normalise, finetune-from or augmented; with commas "
    "in a value separate them by ;.",
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
@published_options
@_reading_options
@duplicates_option()
@click.option(
    "--seeds", type=SEEDS, metavar="N|LIST", help="How many seeds, or which.  [default: as published]"
)
@budget_option
@look_option
@dry_run_option
@click.option("--serial", is_flag=True, help="Train folds and seeds one after another.")
@cluster_options
@json_option
def sweep(as_json: bool, **options: Any) -> None:
    """Train a head at every point of a grid, select on dev alone, and test what was selected.

    Options hold for every point; the grid and an option cannot both give the same thing. What sweep lacks of train
    (--test-on, --folds, --track, …) is for one run: train the point that was selected, or evaluate its run on other
    corpora.

    \b
    Examples:
      sercache sweep --head superb --dataset emodb --dev next --grid lr=1e-3,1e-4 --grid "states=all;6" --name lr
      sercache sweep --head superb --dataset emodb --dev next --finetune-from 6 --grid "states=9;12" --name tuned
    """
    from sercache.commands import _results, console
    from sercache.experiment.sweep import SweepOptions, run

    console.told(run(SweepOptions(**options)), _results.swept, as_json)


@click.command()
@click.argument("run", type=RUN)
@dataset_option("The corpus to test on (sercache datasets), or a store of it.")
@store_option
@click.option("--task", help="Its task.  [default: the one that is called as the run's]")
@encoder_option("Folder of the checkpoint, for a run with --finetune-from on a local one.")
@duplicates_option(
    "Recordings that the run was trained on: counted, or left out.  [default: refuse the test]"
)
@head_option
@root_option
@where_options
@json_option
def evaluate(as_json: bool, **options: Any) -> None:
    """Test the heads of a finished run on all of another corpus; writes RUN/on-DATASET[-TASK].

    \b
    Example:
      sercache evaluate runs/layer-attention-wavlm-large-iemocap --dataset emodb
    """
    from sercache.commands import _results, console
    from sercache.experiment.test_on import TestOptions, run

    console.told(run(TestOptions(**options)), _results.evaluated, as_json)


@click.command()
@encoder_option("Which cache to read.  [default: that of --store]")
@dataset_option("Corpus name (sercache datasets).  [default: that of --store]")
@store_option
@root_option
@cache_option
@runs_option
@click.option("--task", help="Label map of the corpus.  [default: the corpus']")
@click.option("--protocol", help="How folds are made.  [default: the corpus']")
@click.option("--states", default="all", show_default=True, help="Which states: blocks, 1-12, …")
@click.option("--clip", help="Clip rule of the cache.")
@duplicates_option()
@click.option(
    "--c", type=click.FloatRange(0, min_open=True), default=0.01, show_default=True,
    help="Inverse strength of the regularisation (scikit-learn's C).",
)  # fmt: skip
@cluster_options
@json_option
def probe(as_json: bool, **options: Any) -> None:
    """Probe each state of an encoder: UA of logistic regression on its means over time, with a plot.

    \b
    Example:
      sercache probe --encoder wavlm-large --dataset emodb
    """
    from sercache.commands import _results, console
    from sercache.experiment.probe import ProbeOptions, run

    console.told(run(ProbeOptions(**options)), _results.tabled, as_json)


COMMANDS = (train, sweep, evaluate, probe)
