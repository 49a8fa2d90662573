"""`sercache reproduce`: a table of a paper, or the list of all."""

from __future__ import annotations

from sercache import advice
from sercache.commands import console
from sercache.progress import say
from sercache.reproduction import reproduce
from sercache.reproduction.paper import OVERVIEW, ReproduceOptions, overview, with_table


def run(options: ReproduceOptions, *, as_json: console.Apart | bool = False) -> None:
    """Without a table: list what there is, how much of it is done, and what it waits for. Raises SercacheError."""
    options = with_table(options)
    if options.paper is not None and options.table is not None:
        console.told(reproduce.run(options), lambda made: None, as_json)
        return
    if as_json:
        console.print_json([dict(zip(OVERVIEW, row, strict=True)) for row in overview(options)])
        return
    console.say_rows([OVERVIEW, *overview(options)])
    say(f"run one: {advice.command('reproduce', 'PAPER', 'TABLE')}")
