"""`sercache info`: the stores of the cache, and what is known of one."""

from __future__ import annotations

from collections.abc import Sequence

from sercache import advice
from sercache.commands.console import print_json, say_rows
from sercache.experiment import info as store_info
from sercache.experiment import listing
from sercache.progress import say, used


def info(request: store_info.InfoOptions, *, as_json: bool = False) -> None:
    """List the stores of the cache, or describe those named.

    Those that cannot be opened are listed with the reason, and then a StoreError is raised.
    """
    found = store_info.run(request)
    if as_json:
        print_json(store_info.grouped(found, request.by) if request.by else found)
    else:
        _show(found, request)
    store_info.complain(found)


def _show(found: Sequence[store_info.StoreInfo], request: store_info.InfoOptions) -> None:
    if not found:
        say(
            f"no stores yet; make one with: {advice.command('extract', encoder='demo-wavlm', dataset='demo')}"
        )
    opened = [(each, each.spec) for each in found if each.spec is not None]
    if request.by:
        groups = store_info.grouped(found, request.by)
        say_rows(listing.of_groups(groups, request.by), right=(1, 2, 3, 4))
    elif request.stores:
        for each, spec in opened:
            for label, text in listing.in_words(each, spec):
                used(label, text)
    elif opened:
        rows = [listing.HEADING, *(listing.row_of(*each) for each in opened)]
        say_rows(rows, right=(5, 6, 7), below=8)
    for each in found:
        if each.fault is not None:
            say(f"cannot be opened: {each.fault}")
