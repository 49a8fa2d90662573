"""The file name is the registration: what lies in a package is what its users can name."""

from __future__ import annotations

import importlib
import pkgutil
import re
import unicodedata
from difflib import get_close_matches
from types import ModuleType

from sercache.errors import UnknownNameError


def names(package: str) -> list[str]:
    """Names on offer in a package (``"sercache.heads"``): its public modules, ``_`` written as ``-``, sorted."""
    path = importlib.import_module(package).__path__
    found = (module.name for module in pkgutil.iter_modules(path))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def load(package: str, name: str) -> ModuleType:
    """The module that ``name`` registers in ``package``.

    Raises UnknownNameError, with the nearest names, where there is none.
    """
    on_offer = names(package)
    if name not in on_offer:
        raise UnknownNameError(unknown(package.rpartition(".")[2].rstrip("s"), name, on_offer))
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def unknown(kind: str, got: str, on_offer: list[str] | tuple[str, ...]) -> str:
    """One line for a name that does not exist: what was got, the nearest, all there are."""
    near = get_close_matches(got, on_offer, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"unknown {kind} {got!r}{hint} (there is: {', '.join(on_offer) or 'none'})"


def file_name(name: str) -> str:
    """``name`` as a part of a file's name on any system: letters of all scripts, digits, ``.``, ``_`` and ``-``."""
    plain = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name)).strip("-.")
    return plain[:80].encode()[:200].decode(errors="ignore") or "unnamed"
