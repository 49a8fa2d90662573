"""`sercache check`: whether a head, a corpus or an encoder keeps its contract."""

from __future__ import annotations

from sercache import catalog, contracts
from sercache.commands.console import print_json
from sercache.errors import ContractError
from sercache.progress import say, used
from sercache.record import counted


def run(name: str, *, as_json: bool = False) -> None:
    """Run the contract on a file or a name of the catalogue and say of each check what is wrong.

    Raises ContractError where anything is, UnknownNameError, and what the catalogue raises.
    """
    told: dict[str, list[contracts.Checked]] = {}
    for room in contracts.rooms_of(name):
        kind = room.rpartition(".")[2].rstrip("s").replace("dataset", "corpus")
        used("checked", f"{catalog.shown(name)} as the file of {'an' if kind == 'encoder' else 'a'} {kind}")
        for found in contracts.checked(room, name):
            told.setdefault(kind, []).append(found)
            say(f"{'FAULT' if found.faults else 'ok':<8}  {found.what}")
            for fault in found.faults:
                say(f"          {fault}")
    if as_json:
        print_json(told)
    if n_faults := sum(len(found.faults) for each in told.values() for found in each):
        raise ContractError(
            f"{name} does not keep its contract: {counted(n_faults, 'fault')}, which stand above"
        )
