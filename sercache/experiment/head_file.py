"""The head that a run was trained with: by its name, by the file that the run names, or as the user gives it."""

from __future__ import annotations

import hashlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sercache import catalog, given
from sercache.errors import ContractError, UnknownNameError
from sercache.head import version_of

if TYPE_CHECKING:
    from torch import nn

    from sercache.record import Report


def file_of(report: Report, folder: Path | None) -> ModuleType:
    """What defines the head of a run, as far as the run says it.

    Raises UnknownNameError for a head that no name stands for, ContractError for a file that has changed, or that the
    user has not named: a run may come from anybody.
    """
    name, digest = report.head_source
    try:
        with given.named_by_user(()):
            module = catalog.load("sercache.heads", name, digest)
    except UnknownNameError as fault:
        if catalog.is_file(name):
            raise UnknownNameError(
                f"the head of {folder or 'this result'} lay in {name}, which is not there now; give the file with "
                "--head FILE.py"
            ) from fault
        raise _of_a_class(report, folder) from None
    if _is_digest(digest) and not catalog.digest_of(module.__name__):
        raise _of_a_class(report, folder)  # which is called as a head of sercache's
    return module


def class_in(file: str, report: Report, folder: Path | None) -> type[nn.Module]:
    """The class that a run trained, out of the file that defines it.

    Raises UnknownNameError for a file that is not there, ContractError for one without that class.
    """
    from torch import nn

    module = catalog.load_file(file)
    own = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, nn.Module) and each.__module__ == module.__name__
    ]
    names = [each for each in own if report.head in (catalog.called(each.__name__), _name(file, each))]
    for each in names:
        if is_trained(each, report):
            return each
    digest = report.head_source[1]
    known = f", whose sha256 begins {digest[:12]}" if _is_digest(digest) else ""
    found = "has changed since" if names else f"defines {', '.join(e.__name__ for e in own) or 'no head'}"
    raise ContractError(
        f"{file} is not the file of the head {report.head} that {folder or 'this result'} trained{known}: it {found}; "
        "give that one"
    )


def is_trained(head: type[nn.Module], report: Report) -> bool:
    """Whether a class is the one that a run trained, by the file or, of a notebook's, by its own lines."""
    digest = report.head_source[1]
    if report.experiment is None or version_of(head) == digest:
        return True
    try:
        lines = inspect.getsource(head).strip("\n")
    except (OSError, TypeError):
        return False
    return digest in {hashlib.sha256(f"{lines}{end}".encode()).hexdigest() for end in ("", "\n")}


def _name(file: str, head: type) -> str:
    """What the catalogue calls the class ``Head`` of a file; of others nothing."""
    return catalog.shown(file) if head.__name__ == "Head" else ""


def _of_a_class(report: Report, folder: Path | None) -> UnknownNameError:
    return UnknownNameError(
        f"unknown head {report.head!r}: {folder or 'this result'} trained a class, which no name stands for; give the "
        "file that defines it with --head FILE.py, in Python sercache.Result.load(folder, head=THE_CLASS)"
    )


def _is_digest(version: str) -> bool:
    """Whether the version of a head is the digest of a file or class: it is none of sercache's."""
    return re.fullmatch("[0-9a-f]{64}", version) is not None
