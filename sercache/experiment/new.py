"""The file of a new head, corpus or encoder: one that works, to be changed."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Literal

from sercache import advice, catalog, files
from sercache.errors import SettingsError

Kind = Literal["head", "corpus", "encoder"]
KINDS: tuple[Kind, ...] = ("head", "corpus", "encoder")
_ROOMS = {"head": "sercache.heads", "corpus": "sercache.datasets", "encoder": "sercache.encoders"}
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_OWN = re.compile(r"\bmy[-_](?:corpus|encoder|levels)\b")
"""What the templates are called inside."""


def run(kind: Kind, name: str, folder: Path) -> Path:
    """Write ``folder``/NAME.py, which passes `sercache check`, and give its path.

    Raises SettingsError for a name that no file can have or that the catalogue knows already, and where the file is
    there; FileError where it cannot be written.
    """
    if kind not in KINDS:
        raise SettingsError(f"there is no new {kind}; choose {', '.join(KINDS)}")
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module):
        raise SettingsError(
            f"{name!r} is no name for a file of Python: small letters and digits, - between words, as in my-{kind}"
        )
    shown = catalog.called(module)
    if shown in catalog.names(_ROOMS[kind]):
        raise SettingsError(f"there is {_one(kind)} called {shown} already; choose another name")
    path = folder / f"{module}.py"
    template = resources.files("sercache.experiment.templates").joinpath(f"my_{kind}.py")
    text = _OWN.sub(shown, template.read_text(encoding="utf-8"))
    if path.exists() or path.is_symlink():
        raise SettingsError(f"{path} is there already; choose another name or --folder")
    files.write_text(path, text)
    return path


def next_steps(kind: Kind, path: Path) -> list[str]:
    """The commands that one goes on with."""
    file = str(path)
    check = advice.command("check", file)
    if kind == "head":
        return [
            check,
            advice.command("extract", encoder="demo-wavlm", dataset="demo"),
            advice.command("train", head=file),
        ]
    if kind == "corpus":
        example = path.with_name(f"{path.stem}-example")
        return [
            check,
            advice.command("datasets", file, example=example),
            advice.command("extract", encoder="logmel", dataset=file, root=example),
        ]
    return [check, advice.command("extract", encoder=file, dataset="demo")]


def _one(kind: Kind) -> str:
    return f"{'an' if kind == 'encoder' else 'a'} {kind}"
