"""`sercache verify`: check every checksum; with --repair, extract what is damaged anew."""

from __future__ import annotations

from sercache import advice
from sercache.commands.console import print_json
from sercache.errors import DamagedStoreError, StoreError
from sercache.experiment import verify


def run(request: verify.VerifyOptions, *, as_json: bool = False) -> None:
    """Check as asked. Raises DamagedStoreError where damage remains, StoreError where a store cannot be checked."""
    found = verify.run(request)
    if as_json:
        print_json(found)
    unchecked = [each.fault for each in found if each.fault is not None]
    n_unread = sum(not isinstance(fault, DamagedStoreError) for fault in unchecked)
    n_damaged = sum(not each.is_whole for each in found) - n_unread
    unread = f"{n_unread} of {len(found)} stores cannot be checked (see above)" if n_unread else ""
    if n_damaged:
        raise DamagedStoreError(
            f"{n_damaged} of {len(found)} stores are damaged{unread and f', {unread}'}; "
            f"{advice.command('verify', *request.stores, repair=True)} extracts the damaged part anew"
        )
    if unread:
        again = advice.command("verify", *request.stores, repair=request.repair)
        raise StoreError(f"{unread}: mend that, then run {again}")
