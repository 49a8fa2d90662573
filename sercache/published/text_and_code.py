"""Where a paper's text, its authors' code and ours differ, as a table under its results and by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from sercache import catalog
from sercache.head import declared
from sercache.published.head import head_defaults
from sercache.readings import NO_CODE, NOT_SAID, OPTION, Reading
from sercache.report import ReportTable
from sercache.units import listed

COLUMNS = ("setting or layer", "paper's text", "authors' code", "ours", "outputs differ", "variant")
_TITLE = "Where the paper's text, its authors' code and ours differ, or the text is open"


def text_and_code(heads: Iterable[str]) -> ReportTable | None:
    """A row for each reading of these heads, named where only some of them have it; None where there is none."""
    modules = {name: catalog.load("sercache.heads", name) for name in heads}
    found: dict[tuple[str, ...], list[str]] = {}
    notes: dict[str, None] = {}
    for name, module in modules.items():
        about = declared(module)
        for each in about.readings:
            row = (each.what, each.text, each.code, each.ours, _outputs(each), _variants(each, module))
            found.setdefault(row, []).append(name)
            if each.alone:
                notes[f"{each.what}: {each.alone}"] = None
        if about.readings:
            notes.setdefault(f"authors' code: {about.code or NO_CODE}")
    if not found:
        return None
    with_readings = [name for name, module in modules.items() if declared(module).readings]
    rows = [(_named(what, names, with_readings), *rest) for (what, *rest), names in found.items()]
    return ReportTable(_TITLE, COLUMNS, tuple(rows), tuple(notes))


def _named(what: str, names: list[str], heads: list[str]) -> str:
    return what if names == heads else f"{what} ({listed(names, len(names))})"


def _outputs(reading: Reading) -> str:
    """Whether equal weights give other outputs; ``open`` where there is nothing to differ from."""
    if reading.outputs_differ:
        return "yes"
    return "open" if reading.text == NOT_SAID and reading.code == NO_CODE else "no"


def _variants(reading: Reading, module: ModuleType) -> str:
    """The variants by which ours is changed."""
    said = {"paper": reading.as_text, "code": reading.as_code}
    return ", ".join(name for name, changed in said.items() if not _is_ours(changed, module)) or "-"


def _is_ours(changed: Mapping[str, Any], module: ModuleType) -> bool:
    """Whether the head does all of it by itself."""
    own = {f"{OPTION}{name}": value for name, value in head_defaults(module).items()}
    own = {**vars(module.SETUP), **vars(module.RECIPE), **own}
    return all(own[name] == value for name, value in changed.items())
