"""The commands that show what runs say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sercache.commands.options._names import RUN
from sercache.commands.options._shared import (
    FOLDER,
    cache_option,
    dataset_option,
    format_option,
    head_option,
    json_option,
    root_option,
    store_option,
    where_options,
)


@click.command()
@click.argument("runs", nargs=-1, type=RUN)
@format_option
@click.option(
    "--calibration", is_flag=True, help="Of one run: calibration, temperature, answering the surest."
)
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(["speaker", "sex", "language", "duration", "corpus"]),
    help="Of one run: scores on parts of the utterances, the worst named; again for more.",
)
@click.option("--listeners", is_flag=True, help="Of one run: human listeners beside the head.")
@click.option(
    "--html",
    type=FOLDER,
    metavar="OUT",
    help="Write FILE.html for one run, or a folder: an index and a page a run.",
)
@click.option(
    "--audio/--no-audio",
    default=None,
    help="Clips in the pages.  [default: where the corpus' licence allows it]",
)
@json_option
@root_option
@cache_option
def report(runs: tuple[Path, ...], table_format: Any, as_json: bool, **options: Any) -> None:
    """Print runs side by side; without names, all in the runs folder.

    A table holds what can be compared: runs of one corpus, task and protocol. Folders of runs (sweeps) are read too. Of
    an unfinished run it says what is missing, and the command that finishes it.

    \b
    Examples:
      sercache report runs/layer-attention-* --format markdown
      sercache report runs/linear-wavlm-large-emodb --calibration --by sex --by duration
      sercache report runs/linear-wavlm-large-emodb --html linear.html
      sercache report --html pages
    """
    from sercache.commands import report as work
    from sercache.experiment import details

    html, audio = options.pop("html"), options.pop("audio")
    if html is not None:
        if as_json or options["calibration"] or options["by"] or options["listeners"]:
            raise click.UsageError(
                "--html writes pages, which hold all that --json, --calibration and --by show"
            )
        from sercache.experiment import pages

        work.pages(pages.PageOptions(html, runs, audio, options["root"], options["cache"]))
        return
    if audio is not None:
        raise click.UsageError("--audio and --no-audio are of the pages that --html writes")
    if not (options["calibration"] or options["by"] or options["listeners"]):
        work.run(runs, table_format, as_json=as_json)
        return
    if len(runs) != 1:
        raise click.UsageError(f"--calibration, --by and --listeners are of one run, got {len(runs)}")
    work.detailed(details.DetailsOptions(runs[0], **options), table_format, as_json=as_json)


@click.command()
@click.argument("runs", nargs=-1, type=RUN, required=True)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="ua, wa, macro-f1, rho, ccc or mse; again for more, the first decides.  [default: the main one, wa, and what "
    "epochs were selected by]",
)
@click.option("--on", metavar="DATASET[:TASK]", help="Another corpus that all of them were tested on.")
@click.option("--plot", type=FOLDER, help="Draw every run against every other: FILE.png and FILE.svg.")
@click.option("--page", type=FOLDER, help="Write table and picture as one HTML file.")
@click.option(
    "--published", is_flag=True, help="Below them what others report of the corpus, also for one run."
)
@format_option
@json_option
def compare(table_format: Any, as_json: bool, **options: Any) -> None:
    """Show which runs differ, two by two on the same utterances: differences, their intervals, a test over speakers.

    Folders of runs are read too. The seeds of a run are averaged. Runs of other utterances, tasks or folds are refused.

    \b
    Examples:
      sercache compare runs/linear-wavlm-large-emodb runs/mlp-wavlm-large-emodb
      sercache compare runs/layer-attention-* --metric ua --plot heads.png
      sercache compare runs/linear-wavlm-large-emodb --published
    """
    from sercache.commands import _results, console
    from sercache.experiment import compare as work

    console.told(work.run(work.CompareOptions(**options)), _results.compared_as(table_format), as_json)


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--augment",
    multiple=True,
    required=True,
    metavar="STEPS",
    help="Conditions: noise:snr=20,10,0; again for more.",
)
@root_option
@where_options
@click.option("--encoder", help="Folder of the checkpoint, where it is a local one that was moved.")
@head_option
@format_option
@json_option
def robustness(table_format: Any, as_json: bool, **options: Any) -> None:
    """Test a run's heads on their own test parts under noise, in rooms, through codecs: scores beside those it has.

    Features that the cache lacks are extracted. Writes table and curves to RUN/robustness.

    \b
    Example:
      sercache robustness runs/linear-whisper-tiny-en-emodb --augment noise:snr=20,10,5,0 --augment codec:gsm
    """
    from sercache.commands import _results, console
    from sercache.experiment import robustness as work

    console.told(work.run(work.RobustnessOptions(**options)), _results.compared_as(table_format), as_json)


@click.command("map")
@click.argument("run", type=RUN)
@dataset_option("Whose utterances (sercache datasets), or a store of them.")
@store_option
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
@click.option("--encoder", help="Folder of the checkpoint, for a run with --finetune-from on a local one.")
@head_option
@root_option
@where_options
@json_option
def map_(as_json: bool, **options: Any) -> None:
    """Draw the vectors of a run's head in the plane (t-SNE); writes RUN/map-DATASET-BY.png and .csv.

    \b
    Example:
      sercache map runs/speaker-id-wav2vec2-base-voxceleb1 --dataset iemocap --by speaker
    """
    from sercache.commands import _results, console
    from sercache.experiment.map import MapOptions, run

    console.told(run(MapOptions(**options)), _results.drawn, as_json)


@click.command()
@click.argument("run", type=RUN)
@click.option("--on", metavar="DATASET[:TASK]", help="Another corpus that the run was tested on.")
@root_option
@cache_option
@click.option(
    "--unit", type=click.Choice(["utterance", "word"]), default="utterance", show_default=True,
    help="What a lexical item is.",
)  # fmt: skip
@click.option("--weighted", is_flag=True, help="Weigh items by how often the class goes with them.")
@json_option
def lexical(as_json: bool, **options: Any) -> None:
    """Show how much a run's predictions depend on the words: PPMI of transcripts and predicted classes.

    \b
    Example:
      sercache lexical runs/layer-attention-wavlm-large-iemocap --on mesd
    """
    from sercache.commands import _results, console
    from sercache.experiment.lexical import LexicalOptions, run

    console.told(run(LexicalOptions(**options)), _results.tabled, as_json)


COMMANDS = (report, compare, robustness, map_, lexical)
