"""`sercache check`: whether a head, a corpus or an encoder keeps its contract."""

from __future__ import annotations

from sercache import catalog, contracts
from sercache.errors import ContractError
from sercache.progress import say, used
from sercache.record import counted


def run(name: str) -> None:
    """Run the contract on a file or a name of the catalogue and say of each check what is wrong.

    Raises ContractError where anything is, UnknownNameError, and what the catalogue raises.
    """
    n_faults = 0
    for room in contracts.rooms_of(name):
        kind = room.rpartition(".")[2].rstrip("s").replace("dataset", "corpus")
        used("checked", f"{catalog.shown(name)} as the file of {'an' if kind == 'encoder' else 'a'} {kind}")
        for found in contracts.checked(room, name):
            say(f"{'FAULT' if found.faults else 'ok':<8}  {found.what}")
            for fault in found.faults:
                say(f"          {fault}")
            n_faults += len(found.faults)
    if n_faults:
        told = counted(n_faults, "fault")
        raise ContractError(f"{name} does not keep its contract: {told}, which stand above")
