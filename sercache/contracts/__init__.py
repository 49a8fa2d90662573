"""The contracts of heads, corpora and encoders as checks: of ours in the tests, of anybody's by `sercache check`.

A contract is a row of ``ContractCheck``s, each of which looks at one module and yields its faults in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from sercache import catalog
from sercache.contracts import corpus, encoder, head
from sercache.contracts.check import ContractCheck, faults
from sercache.errors import UnknownNameError

CONTRACTS: Mapping[str, Sequence[ContractCheck]] = {
    "sercache.heads": head.CHECKS,
    "sercache.datasets": corpus.CHECKS,
    "sercache.encoders": encoder.CHECKS,
}
"""The checks of each room, in the order in which they make sense."""

__all__ = ["CONTRACTS", "Check", "Checked", "all_faults", "checked", "faults", "rooms_of"]


@dataclass(frozen=True)
class Checked:
    """What a check found."""

    room: str
    what: str
    """The check, in words."""
    faults: tuple[str, ...]


def rooms_of(name: str) -> list[str]:
    """The rooms whose contract a file or a name of the catalogue is to keep; the demo is a corpus and an encoder.

    A file belongs where it holds most of what is needed. Raises UnknownNameError for one that holds nothing of it or a
    name that there is not, ContractError for a file that cannot be loaded.
    """
    if not catalog.is_file(name):
        found = [room for room in CONTRACTS if name in catalog.names(room)]
        if not found:
            on_offer = sorted({each for room in CONTRACTS for each in catalog.names(room)})
            raise UnknownNameError(catalog.unknown("head, corpus or encoder family", name, on_offer))
        return found
    held = vars(catalog.load_file(name))
    counts = {room: sum(each in held for each in needed) for room, needed in catalog.NEEDED.items()}
    room = max(counts, key=counts.__getitem__)
    if not counts[room]:
        needs = "; ".join(
            f"a {each.rpartition('.')[2].rstrip('s')} {', '.join(needed)}"
            for each, needed in catalog.NEEDED.items()
        )
        raise UnknownNameError(
            f"{name} holds neither a head nor a corpus nor an encoder, which need: {needs}"
        )
    return [room]


def checked(room: str, name: str) -> Iterator[Checked]:
    """Run the contract of a room on a file or a name of the catalogue, a check at a time.

    What cannot work without what an earlier check missed is not tried. Raises what the catalogue raises.
    """
    module = catalog.load_as_it_is(room, name)
    for each in CONTRACTS[room]:
        found = tuple(faults(each, module))
        yield Checked(room, each.what, found)
        if found and each.is_needed:
            return


def all_faults(room: str, module: ModuleType) -> list[str]:
    """Every fault of a module, the checks after a needed one left out where that one has some."""
    found: list[str] = []
    for each in CONTRACTS[room]:
        found += faults(each, module)
        if found and each.is_needed:
            break
    return found
