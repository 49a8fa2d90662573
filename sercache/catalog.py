"""The file name is the registration: what lies in a package is what its users can name.

The heads, corpora and encoders of the catalogue are one module each, wherever the module lies: in the package of the
room (``sercache.heads``), in another installed package that names it as an entry point of the group that is called as
the room, or in a file of the user's, which is named by its path (``./my_head.py``, called ``my-head``).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
import traceback
import unicodedata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

from sercache import advice, given
from sercache.advice import unknown as unknown
from sercache.claims import on_the_way
from sercache.errors import ContractError, UnknownNameError

NEEDED = {
    "sercache.heads": ("Head", "SOURCE", "RECIPE", "SETUP"),
    "sercache.datasets": ("INFO", "read", "example"),
    "sercache.encoders": ("SHORT_NAMES", "MODEL_TYPES", "load", "identify"),
}
"""What a module of each room holds at least; docs/howto says what it is."""

_OPTIONS = {"head": "--head", "dataset": "--dataset", "encoder": "--encoder"}
"""By which commands take a file of each kind."""

_DIGESTS: dict[str, str] = {}
"""sha256 of the file of each module that is not sercache's own, by the module's name."""


def names(package: str) -> list[str]:
    """Names on offer in a package (``"sercache.heads"``) and in those installed beside it, ``_`` written as ``-``."""
    return sorted({*own_names(package), *_installed(_group(package), tuple(sys.path))})


def own_names(package: str) -> list[str]:
    """Those of ``names`` that sercache brings itself: public modules of the package."""
    return list(_modules_in(tuple(importlib.import_module(package).__path__)))


@functools.lru_cache(maxsize=32)  # asked for whenever one is loaded
def _modules_in(path: tuple[str, ...]) -> tuple[str, ...]:
    found = (module.name for module in pkgutil.iter_modules(path))
    return tuple(sorted(called(name) for name in found if not name.startswith("_")))


def load(package: str, name: str, digest: str = "") -> ModuleType:
    """The module that ``name`` registers in ``package``, or that lies in the file of which it is the path.

    ``digest``: what ``digest_of`` said of it before, where that matters. Raises what ``load_as_it_is`` raises, and
    ContractError for a file that lacks what one of its kind holds, or is not of this digest.
    """
    module = load_as_it_is(package, name)
    if module.__name__ not in _DIGESTS:
        return module
    if missing := [each for each in NEEDED[_group(package)] if each not in vars(module)]:
        raise ContractError(
            f"{name} has no {', '.join(missing)}, which the file of a {_kind(package)} holds: "
            f"{', '.join(NEEDED[_group(package)])}"
        )
    if digest not in ("", digest_of(module.__name__)):
        raise ContractError(
            f"{name} is not the file that it was (sha256 {digest_of(module.__name__)[:12]}, then {digest[:12]}); put "
            "that one back, or train again"
        )
    return module


def load_as_it_is(package: str, name: str) -> ModuleType:
    """As ``load``, whatever the module holds.

    Raises UnknownNameError, with the nearest names, where there is none; ContractError for a file or package that
    cannot be loaded, or is called as one that there is already.
    """
    if is_file(name):
        return _of_file(package, name)
    installed = _installed(_group(package), tuple(sys.path))
    if name in installed:
        return _of_package(package, name, installed[name])
    if name not in own_names(package):
        raise UnknownNameError(unknown(_kind(package), name, names(package)))
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def is_file(name: str) -> bool:
    """Whether a name is the path of a file of the user's."""
    return name.endswith(".py")


def absolute(name: str) -> str:
    """``name`` so that it means the same from any folder; names that are no paths stay as they are."""
    return str(Path(name).expanduser().absolute()) if is_file(name) else name


def shown(name: str) -> str:
    """What people call it: ``my-head`` for ``/home/me/my_head.py``."""
    return called(Path(name).stem) if is_file(name) else name


def digest_of(module: str) -> str:
    """sha256 of the file of a module that ``load`` gave, by the module's name; empty for those of sercache."""
    return _DIGESTS.get(module, "")


def digest_of_class(found: type) -> str:
    """sha256 of what defines a class outside sercache: its file, in a notebook its own source; empty for ours.

    The name of the class alone where the source is not known.
    """
    if found.__module__ in _DIGESTS or found.__module__.partition(".")[0] == "sercache":
        return digest_of(found.__module__)
    file = getattr(sys.modules.get(found.__module__), "__file__", None)
    if file is not None and Path(file).is_file():
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(found).encode()).hexdigest()
    except (OSError, TypeError):
        return hashlib.sha256(found.__qualname__.encode()).hexdigest()


def called(name: str) -> str:
    """The name in the catalogue of a file or class: ``my-head`` for ``my_head`` and ``MyHead``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()


def _kind(package: str) -> str:
    """``head`` for ``sercache.heads``."""
    return package.rpartition(".")[2].rstrip("s")


def _group(package: str) -> str:
    """Entry points of other packages that belong to a package of ours."""
    return f"sercache.{package.rpartition('.')[2]}"


@functools.lru_cache(maxsize=32)
def _installed(group: str, path: tuple[str, ...]) -> dict[str, list[importlib.metadata.EntryPoint]]:
    """Entry points of a group by name, as the packages on ``path`` have them."""
    found: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for point in importlib.metadata.entry_points(group=group):
        if point not in found.setdefault(called(point.name), []):
            found[called(point.name)].append(point)
    return found


def _of_package(package: str, name: str, points: list[importlib.metadata.EntryPoint]) -> ModuleType:
    whose = " and ".join(sorted({point.dist.name if point.dist else "a package" for point in points}))
    kind = _kind(package)
    if len(points) > 1 or name in own_names(package):
        also = " and sercache" if name in own_names(package) else ""
        raise ContractError(
            f"{whose}{also} have a {kind} {name}, expected one: uninstall a package, or have its entry point renamed"
        )
    try:
        module = points[0].load()
    except Exception as fault:
        raise ContractError(
            f"the {kind} {name} of the package {whose} cannot be loaded: {told(fault)}"
        ) from fault
    if not isinstance(module, ModuleType):
        raise ContractError(
            f"the entry point {name} of the package {whose} is {points[0].value}, expected the name of a module"
        )
    if module.__name__ not in _DIGESTS:
        _DIGESTS[module.__name__] = hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    return module


def _of_file(package: str, name: str) -> ModuleType:
    if shown(name) in names(package):
        raise ContractError(
            f"{name} would be called {shown(name)}, which is a {_kind(package)} already; give the file another name"
        )
    return load_file(name, _OPTIONS[_kind(package)])


def load_file(name: str, option: str = "--head") -> ModuleType:
    """The module in a file of the user's, whatever it is of; ``option``: that by which commands take it.

    Raises UnknownNameError, ContractError also for a file that the user did not name.
    """
    path = Path(absolute(name))
    if not path.is_file():
        raise UnknownNameError(
            f"{name}: there is no such file; name the .py file of a head, a corpus or an encoder, or a name "
            f"that a list shows, for example {advice.command('heads')}"
        )
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise ContractError(f"{name} cannot be read: {fault.strerror}") from fault
    digest = hashlib.sha256(data).hexdigest()
    given.check(path, digest, option)
    return _executed(str(path.resolve()), digest, data, name)


class _Loader(SourceFileLoader):
    """Executes the bytes that were digested, and leaves no ``__pycache__`` beside the user's file."""

    def __init__(self, fullname: str, path: str, data: bytes) -> None:
        super().__init__(fullname, path)
        self._data = data

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        return self.source_to_code(self._data, self.path)


def _executed(path: str, digest: str, data: bytes, name: str) -> ModuleType:
    """The module in a file, once for as long as the file stays the same."""
    named = hashlib.sha256(os.fsencode(f"{path} {digest}")).hexdigest()[:16]
    title = f"sercache_file_{Path(path).stem}_{named}"
    if title in sys.modules:
        return sys.modules[title]
    spec = importlib.util.spec_from_file_location(title, path, loader=_Loader(title, path, data))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module  # dataclasses and pickle look classes up by the module's name
    try:
        with on_the_way(f"executing {name}"):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as fault:
        del sys.modules[title]
        raise ContractError(f"{name} cannot be loaded: {told(fault, path)}") from fault
    _DIGESTS[title] = digest
    return module


def told(fault: BaseException, path: str = "") -> str:
    """A fault of somebody's code in one line, with the line of the file where there is one."""
    lines = [each.lineno for each in traceback.extract_tb(fault.__traceback__) if each.filename == path]
    number = fault.lineno if isinstance(fault, SyntaxError) else (lines[-1] if lines else None)
    where = f"line {number}: " if number else ""
    return f"{where}{type(fault).__name__}: {' '.join(str(fault).split())}"


def file_name(name: str) -> str:
    """``name`` as a part of a file's name on any system: letters of all scripts, digits, ``.``, ``_`` and ``-``."""
    plain = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name)).strip("-.")
    return plain[:80].encode()[:200].decode(errors="ignore") or "unnamed"


_LONGEST_PART = 160
"""Bytes of a name within a file's name, of which disks take 255."""


def quoted_name(name: str) -> str:
    """``name`` as a part of a file's name that no other name has: percent-encoded, a long one cut, with its digest."""
    whole = quote(name, safe=" ")
    if len(whole) <= _LONGEST_PART:
        return whole
    beginning = re.sub("%.?$", "", whole[: _LONGEST_PART // 2])  # an escape that was cut
    return f"{beginning}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
