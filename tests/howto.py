"""The how-to pages as tests use them: their files, their commands."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = Path(__file__).parents[1] / "docs" / "howto"


def files() -> dict[str, str]:
    """Text of every file that a how-to page holds, by the name in its first line."""
    found = {}
    for page in sorted(PAGES.glob("*.md")):
        for _, text in re.findall(r"```(\w+)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            named = re.match(r"# (\w+\.\w+)\n", text)
            if named:
                found[named[1]] = text
    return found


def write(folder: Path, *names: str) -> Path:
    """The folder with these files in it; without names, with all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        if not names or name in names:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def commands(page: str) -> list[str]:
    """The lines that a page has one type, in order."""
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
