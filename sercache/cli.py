"""The `sercache` command. Options and help lie in sercache.commands.options, what a command does beside them."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Any, NoReturn

import click

from sercache import __version__, given, machine, memory, objects, progress, signals
from sercache.catalog import unknown
from sercache.commands.console import Terminal
from sercache.commands.options import (
    catalogue,
    disk,
    features,
    papers,
    predicting,
    results,
    sharing,
    training,
)
from sercache.errors import SercacheError, SettingsError, UnknownNameError
from sercache.text import one_line

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
SECTIONS = {
    "What there is": ("datasets", "encoders", "heads", "doctor"),
    "Stage one: encoders over corpora, into stores": ("extract", "transcribe", "info", "verify"),
    "Stage two: heads from stores": ("train", "sweep", "probe", "evaluate", "predict"),
    "Results": ("report", "compare", "robustness", "map", "lexical", "reproduce"),
    "Keeping and sharing": ("prune", "convert", "merge", "export", "push", "pull"),
    "Settings and files of your own": ("new", "check", "config", "completion"),
}
"""Headings of the list of commands, in the order that one needs them."""
_COMMANDS = [
    *features.COMMANDS,
    *disk.COMMANDS,
    *training.COMMANDS,
    predicting.predict,
    *results.COMMANDS,
    papers.reproduce,
    *sharing.COMMANDS,
    *catalogue.COMMANDS,
]


_RESUMING = {
    "extract",
    "train",
    "sweep",
    "probe",
    "reproduce",
    "transcribe",
    "convert",
    "merge",
    "prune",
    "push",
    "pull",
}
"""Commands that go on from what an interrupted one has finished; others keep nothing of it."""


_LESS_MEMORY = {
    "extract": "cut recordings (--clip split:10), decode fewer at once (--workers 1) or free some memory",
    "train": "train one after another (--serial), with smaller batches (--set batch-size=8) or free some memory",
    "sweep": "try fewer values at once or free some memory",
}
"""What takes less memory, by command."""


class _Commands(click.Group):
    """Commands, with the nearest name for one that does not exist."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.with_resource(given.named_by_user(args))
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UnknownNameError(unknown("command", args[0], self.list_commands(ctx)))
        _check_not_empty(args)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every command with the first sentence of its help, whole: click cuts it to fit one line."""
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, _summary(self.get_command(ctx, name))) for name in names])


def _check_not_empty(args: list[str]) -> None:
    """Raise SettingsError for an empty text: a variable of a shell that is not set, which would mean this folder."""
    for place, text in enumerate(args):
        name, equals, value = text.partition("=")
        option = name if text.startswith("--") and equals and not value else None
        if not text:
            before = args[place - 1] if place else ""
            option = f"what follows {before}" if before.startswith("-") else f"an argument of {args[0]}"
        if option is not None:
            raise SettingsError(f"{option} is empty; give it a value, or leave it out")


def _summary(command: click.Command | None) -> str:
    first = ((command and command.help) or "").split("\n\n")[0]
    return " ".join(first.split("\b")[0].split())


@click.group(cls=_Commands, commands=_COMMANDS, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="sercache")
@click.pass_context
def cli(context: click.Context) -> None:
    """Run a frozen speech encoder once; train any number of emotion heads from the cache.

    \b
    Example:
      sercache extract --encoder wavlm-large --dataset iemocap --root /data/IEMOCAP_full_release
      sercache train --head layer-attention
    """
    context.with_resource(progress.sent_to(Terminal()))


def main() -> None:
    """Entry point: one line per mistake, exit code 2 for the user's, 1 for ours.

    130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    # Before torch is loaded: threads that wait sleep instead of spinning (docs/decisions/0005).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    machine.limit_threads(os.environ)
    _open_closed_streams()
    try:
        with signals.handled():
            _check_current_folder()
            cli.main(prog_name="sercache", standalone_mode=False)
    except click.exceptions.Abort as fault:  # what click makes of an interruption
        _end_stopped(fault.__cause__)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except SercacheError as fault:
        click.echo(f"error: {objects.shown(one_line(fault))}", err=True)
        sys.exit(fault.exit_code)
    except KeyboardInterrupt as fault:
        _end_stopped(fault)
    except (OSError, MemoryError, RuntimeError) as fault:
        if memory.ran_out(fault):
            _end_without_memory(fault)
        if not isinstance(fault, OSError) or fault.errno is None:
            raise
        where = "" if fault.filename is None else f"{fault.filename}: "
        is_others = fault.errno in (errno.EACCES, errno.EPERM)
        remedy = "see who may use it (ls -l) and have them allow you to" if is_others else "mend that"
        click.echo(
            f"error: {one_line(where)}{fault.strerror}; what was done is kept: {remedy}, then run the same again",
            err=True,
        )
        sys.exit(2)


def _end_stopped(fault: BaseException | None) -> NoReturn:
    """Say what stopped the command, and once what is kept."""
    words, code = signals.how(fault)
    kept = " to resume: what was finished is kept" if set(sys.argv[1:2]) <= _RESUMING else ""
    told = signals.told(fault)
    click.echo(f"{words}: {told}" if told else f"{words}; run the same command again{kept}", err=True)
    sys.exit(code)


def _end_without_memory(fault: BaseException) -> NoReturn:
    """Say what is known of memory that ran out, and what helps for the command."""
    asked = re.search(r"allocate (?:memory: you tried to allocate )?([\d.]+) ?(bytes|[KMGT]iB)", str(fault))
    what = f" ({asked[1]} {asked[2]} more were asked for)" if asked else ""
    remedy = _LESS_MEMORY.get(next(iter(sys.argv[1:]), ""), "free some memory")
    click.echo(
        f"error: memory ran out{what}; what was finished is kept: {remedy}, then run the same again", err=True
    )
    sys.exit(2)


def _check_current_folder() -> None:
    """Raise SettingsError where the folder that the command is run in was removed: libraries end the process then."""
    try:
        os.getcwd()  # noqa: PTH109 - what is asked is whether there is one
    except OSError:
        raise SettingsError("the current folder does not exist any more; change to another (cd)") from None


def _open_closed_streams() -> None:
    """Let a stream that the caller closed (``>&-``) lead nowhere: Python has None in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


if __name__ == "__main__":
    main()
