"""One check of a contract, and how it is run on code that may do anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from sercache import catalog
from sercache.contracts.words import members
from sercache.errors import MissingExtraError


@dataclass(frozen=True)
class ContractCheck:
    """Something that a contract asks for."""

    what: str
    """In words, as a person would say that it holds."""
    find: Callable[[ModuleType], Iterator[str]]
    """Yields what is wrong with a module."""
    is_needed: bool = False
    """Whether the checks after this one make no sense where it fails."""


def faults(check: ContractCheck, module: ModuleType) -> list[str]:
    """What a check finds wrong; an exception of the module's own code is one of it, in a line.

    Raises MissingExtraError: a package that is not here is no fault of a module.
    """
    found: list[str] = []
    try:
        for fault in check.find(module):
            found.append(fault)
    except MissingExtraError:
        raise
    except Exception as fault:
        found.append(catalog.told(fault, str(module.__file__)))
    return found


def missing(module: ModuleType, names: Sequence[str], protocol: type) -> Iterator[str]:
    """What a module lacks of the names that it needs, each with what it is."""
    known = members(protocol)
    for name in names:
        if name not in vars(module):
            yield f"{name} is missing: {known[name].told}"
