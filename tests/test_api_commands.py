"""Every command and its verb in Python have the same options, defaults and choices."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import click
import pytest

import sercache
from sercache.cli import cli
from sercache.errors import UnknownNameError
from sercache.experiment import test_on
from sercache.experiment.compare import CompareOptions
from sercache.experiment.convert import ConvertOptions
from sercache.experiment.doctor import DoctorOptions
from sercache.experiment.ensemble import PredictOptions
from sercache.experiment.export import ExportOptions
from sercache.experiment.extract import ExtractOptions
from sercache.experiment.info import InfoOptions
from sercache.experiment.lexical import LexicalOptions
from sercache.experiment.map import MapOptions
from sercache.experiment.merge import MergeOptions
from sercache.experiment.options import READING, Bound, names_of
from sercache.experiment.probe import ProbeOptions
from sercache.experiment.prune import PruneOptions
from sercache.experiment.pull import PullOptions
from sercache.experiment.push import PushOptions
from sercache.experiment.robustness import RobustnessOptions
from sercache.experiment.setup import TrainOptions
from sercache.experiment.sweep import SweepOptions
from sercache.experiment.transcribe import TranscribeOptions
from sercache.experiment.verify import VerifyOptions
from sercache.reproduction.paper import ReproduceOptions

VERBS: dict[str, tuple[Callable[..., Any], type, dict[str, Any]]] = {
    "compare": (sercache.compare, CompareOptions, {"runs": ["a", "b"]}),
    "convert": (sercache.convert, ConvertOptions, {"store": "s"}),
    "doctor": (sercache.doctor, DoctorOptions, {"dataset": "demo"}),
    "evaluate": (sercache.evaluate, test_on.TestOptions, {"run": "r", "dataset": "demo"}),
    "export": (sercache.export, ExportOptions, {"run": "r", "out": "o"}),
    "extract": (sercache.extract, ExtractOptions, {"encoder": "logmel", "dataset": "demo"}),
    "lexical": (sercache.lexical, LexicalOptions, {"run": "r"}),
    "merge": (sercache.merge, MergeOptions, {"stores": ["a", "b"]}),
    "map": (sercache.draw_map, MapOptions, {"run": "r", "dataset": "demo"}),
    "predict": (sercache.predict, PredictOptions, {"run": "r"}),
    "probe": (sercache.probe, ProbeOptions, {"encoder": "logmel", "dataset": "demo"}),
    "prune": (sercache.prune, PruneOptions, {"stores": "s"}),
    "pull": (sercache.pull, PullOptions, {"repo": "me/it"}),
    "push": (sercache.push, PushOptions, {"what": "s", "repo": "me/it"}),
    "reproduce": (sercache.reproduce, ReproduceOptions, {}),
    "robustness": (sercache.robustness, RobustnessOptions, {"run": "r", "augment": "noise:snr=1"}),
    "info": (sercache.info, InfoOptions, {}),
    "transcribe": (sercache.transcribe, TranscribeOptions, {"model": "m", "dataset": "demo", "out": "o.csv"}),
    "verify": (sercache.verify, VerifyOptions, {}),
    "sweep": (sercache.sweep, SweepOptions, {"head": "linear", "grid": {}, "name": "n"}),
    "train": (sercache.train, TrainOptions, {"head": "linear"}),
}
"""Command: its verb, the record that both make, and what the verb needs at least."""
TERMINAL_ONLY = {
    "completion": "for a shell",
    "config": "settings of the user",
    "datasets": "sercache.datasets",
    "encoders": "sercache.encoders",
    "heads": "sercache.heads",
    "new": "sercache.new",
    "report": "sercache.table",
}
"""Commands without a verb, and why or what there is instead."""
OF_THE_TERMINAL = {
    "extract": {"dry_run"},
    "compare": {"table_format"},
    "robustness": {"table_format"},
    "predict": {"watch", "table_format", "out"},
    "reproduce": {"as_json"},
    "sweep": {"as_json"},
    "train": {"as_json"},
}
"""Options that print, or go on until Ctrl-C."""
ANOTHER_NAME = {"predict": {"audio": "paths"}}


def options(command: str) -> dict[str, click.Parameter]:
    """Those of a command by the name of their field."""
    names = ANOTHER_NAME.get(command, {})
    return {
        names.get(str(each.name), str(each.name)): each
        for each in cli.commands[command].params
        if each.expose_value and each.name not in {"as_json", *OF_THE_TERMINAL.get(command, ())}
    }


def test_every_command_is_a_verb_or_says_why_not() -> None:
    assert set(cli.commands) == set(VERBS) | set(TERMINAL_ONLY) | {sercache.check.__name__}
    assert {verb.__name__ for verb, _, _ in VERBS.values()} < set(sercache.__all__)


@pytest.mark.parametrize("command", VERBS)
def test_a_verb_has_the_options_of_its_command(command: str) -> None:
    verb, record, least = VERBS[command]
    taken = set(names_of(record).values())
    assert taken == set(options(command)), "the record of the command and its options differ"
    assert set(least) | {"progress", "settings"} <= set(inspect.signature(verb).parameters)
    assert len(inspect.signature(verb).parameters) <= 8


@pytest.mark.parametrize("command", VERBS)
def test_a_verb_refuses_what_its_command_does_not_have(command: str) -> None:
    verb, record, least = VERBS[command]
    on_offer = [*names_of(record), *(READING if "root" in names_of(record) else ())]
    with pytest.raises(UnknownNameError) as fault:
        verb(**least, nonsense=1)
    assert str(fault.value).endswith(f"(there is: {', '.join(sorted(on_offer))})")


@pytest.mark.parametrize("command", VERBS)
def test_defaults_are_those_of_the_command(command: str) -> None:
    _, record, _ = VERBS[command]
    fields = {field.name: field for field in dataclasses.fields(record)}
    for name, parameter in options(command).items():
        with click.Context(cli.commands[command]) as context:
            theirs = parameter.get_default(context)
        if parameter.required:
            continue
        ours = fields[name].default
        nothing = (None, (), False)
        is_unset = theirs in nothing or type(theirs).__name__ == "Sentinel"
        assert ours == theirs or (is_unset and ours in nothing), (
            f"--{name}: {theirs!r} here, {ours!r} in Python"
        )


@pytest.mark.parametrize("command", VERBS)
def test_choices_and_bounds_are_those_of_the_command(command: str) -> None:
    _, record, _ = VERBS[command]
    hints = get_type_hints(record, include_extras=True)
    for name, parameter in options(command).items():
        kinds = list(leaves(hints[name]))
        if isinstance(parameter.type, click.Choice):
            choices = {value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)}
            assert choices == set(parameter.type.choices), name
        if isinstance(parameter.type, click.IntRange | click.FloatRange):
            [bound] = {get_args(kind)[1] for kind in kinds if get_origin(kind) is Annotated}
            assert bound == Bound(parameter.type.min, not parameter.type.min_open), name
        if isinstance(parameter.type, click.Path):
            assert any(kind is Path or get_origin(kind) is not None for kind in kinds), name


def leaves(hint: Any) -> Any:
    """The types of a union."""
    if get_origin(hint) in (Annotated, Literal) or not get_args(hint):
        yield hint
        return
    for each in get_args(hint):
        yield from leaves(each)
