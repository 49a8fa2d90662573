"""Records of options from what Python has: names and types are checked, mappings and lists become what options say.

The command line and the Python face make the same records, so that both have the same defaults. A field's annotation
says what it takes; ``Annotated`` types below bound numbers as the command line does.
"""

from __future__ import annotations

import dataclasses
import os
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sercache.catalog import unknown
from sercache.errors import SettingsError, UnknownNameError
from sercache.settings import expanded


@dataclass(frozen=True)
class Bound:
    """The least value of a number."""

    least: float
    included: bool = True

    def __str__(self) -> str:
        return f"{'from' if self.included else 'above'} {self.least:g}{' up' if self.included else ''}"


Count = Annotated[int, Bound(1)]
Positive = Annotated[float, Bound(0, included=False)]
NotNegative = Annotated[float, Bound(0)]
Seeds = Count | tuple[int, ...] | str
"""How many seeds, or which; in the words of ``--seeds`` too (sercache.chosen)."""
Scope = Literal["none", "global", "speaker"]
Duplicates = Literal["keep", "apart"]
DevScore = Literal["dev-ua", "dev-wa", "dev-loss", "dev-rho", "dev-ccc"]
Precision = Literal["float32", "bfloat16", "float16"]
StoreFormat = Literal["zarr", "hdf5"]

Record = TypeVar("Record")

_CALLED = {
    "settings": "recipe",
    "head_options": "options",
    "store_format": "format",
    "may_extract": "extract",
    "only_listed": "dry_run",
    "only_foretold": "dry_run",
}
"""Fields that Python calls otherwise, by field: those of ``--set``, ``--option``, ``--format``, ``--extract``, …"""
_COMMAND_ONLY = ("dry_run", "as_json", "watch")
"""Fields that have no meaning in Python, where results are objects."""
_JOINED = {"states": "+", "devices": ",", "finetune_from": ",", "folds": ","}
"""Fields of text that take a list too, and what stands between its entries."""


def names_of(record: type) -> dict[str, str]:
    """What Python calls each option of a record, and its field."""
    fields = [field.name for field in dataclasses.fields(record)]
    return {_CALLED.get(name, name): name for name in fields if name not in _COMMAND_ONLY}


READING = ("encoding", "labels_as_written")
"""How the text of a corpus is read: taken wherever a record has a root, and no field of it."""


def filled(record: type[Record], verb: str, values: Mapping[str, Any]) -> Record:
    """The record of one call of ``verb``. Raises UnknownNameError with the nearest name, SettingsError for a value."""
    on_offer, hints = names_of(record), get_type_hints(record, include_extras=True)
    more = READING if "root" in on_offer else ()
    for name in values:
        if name not in (*on_offer, *more):
            raise UnknownNameError(unknown(f"setting of {verb}", name, sorted((*on_offer, *more))))
    read = {
        on_offer[name]: _read(f"{name} of {verb}", on_offer[name], value, hints[on_offer[name]])
        for name, value in values.items()
        if name not in more
    }
    needed = [
        name for name, field in on_offer.items() if field not in read and _has_no_default(record, field)
    ]
    if needed:
        raise SettingsError(f"{verb} needs {' and '.join(needed)}; give {needed[0]}=…")
    return record(**read)


def settings_of(record: Any) -> dict[str, Any]:
    """What ``filled`` makes an equal record from, as JSON values: options that are not at their defaults."""
    settings = {}
    for called, name in names_of(type(record)).items():
        value = getattr(record, name)
        if value != _default_of(type(record), name):
            settings[called] = os.fspath(value) if isinstance(value, os.PathLike) else value
    return settings


def _default_of(record: Any, name: str) -> Any:
    [field] = [each for each in dataclasses.fields(record) if each.name == name]
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()


def _has_no_default(record: Any, name: str) -> bool:
    [field] = [each for each in dataclasses.fields(record) if each.name == name]
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read(what: str, field: str, value: Any, hint: Any) -> Any:
    """``value`` as the field takes it. Raises SettingsError, UnknownNameError for a text that is no choice of it."""
    if isinstance(value, list | tuple) and field in _JOINED:
        value = _JOINED[field].join(map(str, value))
    kinds = _kinds(hint)
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        found = _of_kind(value, kind, field)
        if found is not _NO:
            return found
    choices = [each for kind in kinds if get_origin(kind) is Literal for each in get_args(kind)]
    if choices and isinstance(value, str):
        raise UnknownNameError(unknown(what, value, choices))
    expected = " or ".join(dict.fromkeys(_words(kind) for kind in kinds))
    raise SettingsError(f"{what} is {expected}, got {reprlib.repr(value)}")


_NO = object()
"""A value that is not of the kind."""


def _kinds(hint: Any) -> list[Any]:
    """The types of a union, or the one type."""
    if get_origin(hint) in (Union, types.UnionType):
        return [kind for each in get_args(hint) for kind in _kinds(each)]
    return [hint]


def _of_kind(value: Any, kind: Any, field: str) -> Any:
    """The value as one kind of annotation takes it, _NO where it is of another kind."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        found = _of_kind(value, arguments[0], field)
        bound = arguments[1]
        fits = found is not _NO and (found > bound.least or (bound.included and found == bound.least))
        return found if fits else _NO
    if origin is Literal:
        return value if value in arguments else _NO
    if origin is tuple:
        return _whole_numbers(value)
    if origin is not None and issubclass(origin, Sequence):
        return _whole_numbers(value) if arguments == (int,) else _texts(value, field)
    if kind is Path:
        return expanded(value) if isinstance(value, str | os.PathLike) else _NO
    if kind is float:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else _NO
    if kind is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else _NO
    if kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    return value if isinstance(kind, type) and isinstance(value, kind) else _NO


def _whole_numbers(value: Any) -> Any:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if (
        not is_list
        or not value
        or not all(type(each) is int for each in value)
        or len(set(value)) < len(value)
    ):
        return _NO
    return tuple(value) if min(value) >= 0 else _NO


def _texts(value: Any, field: str) -> Any:
    """A sequence of texts: of one text itself, of a mapping ``name=value`` each."""
    if isinstance(value, str | os.PathLike):
        return (os.fspath(value),)
    if isinstance(value, Mapping):
        return tuple(f"{name}={_text(each, field)}" for name, each in value.items())
    if isinstance(value, Sequence) and all(isinstance(each, str | os.PathLike) for each in value):
        return tuple(map(os.fspath, value))
    return _NO


def _text(value: Any, field: str) -> str:
    """A value of a mapping as options write it: ``none``, ``true``; of a grid all values, with ; between."""
    if field == "grid" and isinstance(value, Sequence) and not isinstance(value, str):
        return ";".join(_text(each, "") for each in value) + ";"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _words(kind: Any) -> str:
    """What a kind of annotation takes, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return f"{_words(arguments[0])} {arguments[1]}"
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple:
        return "a list of different whole numbers"
    if origin is not None and issubclass(origin, Sequence):
        return "a list of different whole numbers" if arguments == (int,) else "a list of texts or a mapping"
    named = {str: "text", int: "a whole number", float: "a number", bool: "True or False", Path: "a path"}
    return "None" if kind is type(None) else named.get(kind, getattr(kind, "__name__", str(kind)))
