"""The page on commands, made of the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
from catalogue import cell, table

from sercache.cli import SECTIONS, cli

_PAGE = """# Commands

Settings come from options, then from environment variables (`SERCACHE_CACHE`, `SERCACHE_RUNS`, `SERCACHE_DEVICE`,
`SERCACHE_ROOT_NAME` for the root of a corpus), then from `sercache config`. A mistake of yours ends with one line and
exit code 2, a fault of ours with 1. This page is made of the commands themselves.
"""


def page() -> str:
    """Every command by stage: what it does, how it is called, its options."""
    lines = [_PAGE]
    for heading, names in SECTIONS.items():
        lines += [f"## {heading}", ""]
        for name in names:
            lines += _command(name, cli.commands[name])
    return "\n".join(lines)


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"sercache {name}")
    yield from (f"### {name}", "")
    for part in inspect.cleandoc(command.help or "").split("\n\n"):
        if part.startswith("\b"):  # lines that stay lines: a heading and calls below it
            heading, *calls = part.removeprefix("\b").strip("\n").splitlines()
            yield from (heading, "", "```text", *(call.strip() for call in calls), "```", "")
        else:
            yield from (cell(" ".join(part.split())), "")
    yield from (
        "```text",
        " ".join([context.command_path, *command.collect_usage_pieces(context)]),
        "```",
        "",
    )
    options = [each.get_help_record(context) for each in command.params if isinstance(each, click.Option)]
    rows = [(f"`{how}`".replace("|", "&#124;"), cell(what)) for how, what in filter(None, options)]
    if rows:
        yield from table(("option", "what"), rows)
        yield ""
