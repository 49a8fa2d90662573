"""`sercache datasets NAME --counts`: how many utterances a corpus has by session, sex and class."""

from __future__ import annotations

from pathlib import Path

from sercache.commands.console import print_json, say_rows
from sercache.experiment import counts as work


def run(name: str, *, root: Path | None, task: str | None, as_json: bool = False) -> None:
    """Print the counts. Raises as ``sercache.experiment.counts.run``."""
    rows = work.run(name, root, task)
    if as_json:
        print_json([dict(zip(map(str, rows[0]), row, strict=True)) for row in rows[1:]])
        return
    say_rows(rows, right=[k for k, title in enumerate(rows[0]) if title not in work.NAMED])
