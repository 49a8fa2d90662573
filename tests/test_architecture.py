"""Who may import whom (docs: the house), read from the sources with ast."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

TOP = Path(__file__).parents[1]

FLOORS = {
    "sercache.errors": 0,
    "sercache.system": 0,
    "sercache.advice": 1,
    "sercache.given": 1,
    "sercache.catalog": 1,
    "sercache.recipe": 1,
    "sercache.head": 1,
    "sercache.record": 1,
    "sercache.nn": 1,
    "sercache.metrics": 1,
    "sercache.audio": 1,
    "sercache.augment": 1,
    "sercache.chosen": 1,
    "sercache.clips": 1,
    "sercache.states": 1,
    "sercache.files": 1,
    "sercache.objects": 1,
    "sercache.paces": 1,
    "sercache.claims": 1,
    "sercache.text": 1,
    "sercache.layout": 1,
    "sercache.machine": 1,
    "sercache.parallel": 1,
    "sercache.tables": 1,
    "sercache.settings": 1,
    "sercache.speech": 1,
    "sercache.signals": 1,
    "sercache.progress": 1,
    "sercache.units": 1,
    "sercache.memory": 1,
    "sercache.kernels": 1,
    "sercache.transcripts": 1,
    "sercache.statistics": 2,
    "sercache.trained_on": 1,
    "sercache.readings": 1,
    "sercache.cluster": 2,
    "sercache.encoders": 2,
    "sercache.stores": 2,
    "sercache.datasets": 2,
    "sercache.extraction": 3,
    "sercache.views": 3,
    "sercache.checkup": 3,
    "sercache.transcription": 3,
    "sercache.protocols": 3,
    "sercache.training": 4,
    "sercache.contracts": 5,
    "sercache.evaluation": 5,
    "sercache.report": 5,
    "sercache.reported": 4,
    "sercache.papers": 6,
    "sercache.published": 7,
    "sercache.experiment": 8,
    "sercache.reproduction": 9,
    "sercache.api": 10,
    "sercache.commands": 11,
    "sercache.heads": 12,
    "sercache.cli": 13,
    "cli": 14,
}
SIBLINGS = {"sercache.encoders", "sercache.stores", "sercache.datasets"}


@cache
def room(module: str) -> str | None:
    """The room that a module lies in: the longest entry of FLOORS that is it or holds it."""
    fitting = [name for name in FLOORS if module == name or module.startswith(name + ".")]
    return max(fitting, key=len, default=None)


@cache
def sources() -> list[tuple[str, Path]]:
    files = [TOP / "cli.py", *(TOP / "sercache").rglob("*.py"), *(TOP / "heads").rglob("*.py")]
    named = []
    for path in sorted(files):
        parts = list(path.relative_to(TOP).with_suffix("").parts)
        if parts[0] == "heads":  # sercache/heads is a link to it
            parts.insert(0, "sercache")
        named.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return named


@cache
def nodes(path: Path) -> list[ast.AST]:
    """All that a file holds, but for names and texts."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call | ast.ExceptHandler | ast.ClassDef)
    ]


def imports(path: Path, module: str) -> list[str]:
    """Dotted names that a file imports, ``from a import b`` as ``a.b``."""
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.split(".")[0] in ("sercache", "heads", "cli")]


def test_imports_only_go_down() -> None:
    for module, path in sources():
        here = room(module)
        if module == "sercache":
            continue
        assert here is not None, f"{module} lies in no room: give it a floor in this test and in docs"
        for name in imports(path, module):
            assert name.split(".")[0] == "sercache", f"{module}: {name} is not installed, sercache.{name} is"
            there = room(name)
            if there is None or there == here:  # `from sercache import x` resolves to a room or to nothing
                continue
            assert FLOORS[there] <= FLOORS[here], f"{module} imports upwards: {name}"
            assert not (here in SIBLINGS and there in SIBLINGS), f"{module} imports its sibling {name}"
            if here == "sercache.heads":
                assert there in ("sercache.nn", "sercache.recipe", "sercache.readings"), (
                    f"{module} imports {name}"
                )


def test_what_is_private_is_used_in_its_room_alone() -> None:
    for module, path in sources():
        for name in imports(path, module):
            there = room(name)
            if there is None or there == room(module):
                continue
            private = [part for part in name.removeprefix(there).split(".") if part.startswith("_")]
            assert not private, f"{module} imports {name}: give it a name in {there}, or move it here"


NAMESPACES = {"sercache.experiment": 66, "sercache.reproduction": 3, "sercache.commands": 2}
"""Rooms of one file a verb, which have no face: how often others import names of their modules, at most."""
PAST_THEIR_FACE = {
    "sercache.evaluation.lexical": "has a function of its own name",
    "sercache.published.compare": "loads torch, the rest of its room does not",
    "sercache.report.comparison": "has a function of its own name",
    "sercache.report.layer_plots": "draws, so it loads matplotlib",
    "sercache.report.notes": "is of use to one command",
}
"""Modules that are imported past the face of their room, and why."""


def test_a_room_is_used_through_its_face() -> None:
    """What others may use of a room is imported from the room itself: ``from sercache.stores import FeatureSpec``."""
    past: dict[str, list[str]] = {}
    for module, path in sources():
        for node in nodes(path):
            target = (isinstance(node, ast.ImportFrom) and node.module) or ""
            there = room(target)
            if there in (None, target, room(module), "sercache.heads") or module == "sercache":
                continue
            past.setdefault(there if there in NAMESPACES else target, []).append(module)
    odd = {name: where for name, where in past.items() if name not in {*NAMESPACES, *PAST_THEIR_FACE}}
    assert not odd, "give what is imported a place in __all__ of its room, or import it from there"
    assert set(PAST_THEIR_FACE) <= set(past), "these are past their face no more: take them out"
    for name, most in NAMESPACES.items():
        assert len(past[name]) <= most, f"{name}: {len(past[name])} imports, {most} before this change"


def test_a_class_name_means_one_thing() -> None:
    """Heads aside: their files, also the one that users begin with, all call their class Head."""
    where: dict[str, list[str]] = {}
    for module, path in sources():
        if room(module) == "sercache.heads" or "templates" in path.parts:
            continue
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(module)
    several = {name: modules for name, modules in where.items() if len(modules) > 1}
    assert not several, "rename the less central one to what it is"


def test_every_room_is_on_the_plan() -> None:
    packages = {room(module) for module, _ in sources()} - {None}
    assert packages <= set(FLOORS)


FORBIDDEN_CALLS = {"eval", "exec"}


def test_no_dangerous_shortcuts() -> None:
    for module, path in sources():
        for node in nodes(path):
            where = f"{module}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in FORBIDDEN_CALLS, where
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{where}: bare except"
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names), f"{where}: import *"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert "pickle" not in names, f"{where}: pickle"
