"""`sercache push`: the licence is asked for on a terminal."""

from __future__ import annotations

import dataclasses
import sys

import click

from sercache.commands.console import print_json
from sercache.experiment import push as work


def push(request: work.PushOptions, *, as_json: bool) -> None:
    """Send as asked. Without a terminal the licence must be given."""
    if request.licence is None and sys.stdin.isatty():
        known = work.needs_licence(request)
        question = "Licence under which others may use it, as the hub writes it (cc-by-4.0, other, …)"
        answer = click.prompt(f"{known}\n{question}" if known else question, err=as_json)
        request = dataclasses.replace(request, licence=answer.strip().lower())
    sent = work.run(request)
    if as_json:
        print_json(sent)
