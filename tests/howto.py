"""Pages of the documentation as tests use them: fences, files, commands, contracts.

`python tests/howto.py` writes the contracts on the how-to pages anew.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sercache.contracts.words import members
from sercache.datasets import CorpusReader, OwnReader
from sercache.encoders import Encoder, Exemplifies, Family, KnowsSizes, Owns, OwnsOnHub, TrainsTails, Tries
from sercache.head import ABILITIES, Declared, Head, HeadFile

PAGES = Path(__file__).parents[1] / "docs" / "howto"
_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]*)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+\.\w+)\n")


@dataclass(frozen=True)
class CodeBlock:
    """A block of code or text on a page."""

    language: str
    title: str
    """``needs …`` where no test runs it: what the block needs."""
    text: str

    @property
    def file(self) -> str:
        """The name of the file that it is, by its first line; empty for none."""
        named = _FILE.match(self.text)
        return named[1] if named else ""

    def lines(self) -> Iterator[str]:
        """The commands in it, without prompt and comment, one a line."""
        for line in self.text.replace("\\\n", "").splitlines():
            command = line.removeprefix("$ ").partition(" # ")[0].strip().removesuffix("&").strip()
            if self.language == "sh" or line.startswith("$ "):
                yield command


def fences(page: Path) -> list[CodeBlock]:
    """All blocks of a page, in order."""
    return [CodeBlock(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def calls(fence: CodeBlock) -> Iterator[str]:
    """Each call of sercache in the commands of a block."""
    for line in fence.lines():
        wrapped = re.search(r'--wrap "([^"]*)"', line)
        words = shlex.split(wrapped[1] if wrapped else line)
        if "sercache" in words:
            words = words[words.index("sercache") :]
            yield shlex.join(words[: words.index(">")] if ">" in words else words)


def navigation() -> list[str]:
    """The pages that mkdocs.yml lists, those that are made while the site is built included."""

    def leaves(tree: Any) -> list[str]:
        if isinstance(tree, str):
            return [tree]
        return [leaf for each in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(each)]

    about = yaml.safe_load((PAGES.parents[1] / "mkdocs.yml").read_text(encoding="utf-8"))
    return leaves(about["nav"])


def files() -> dict[str, str]:
    """Text of every file that a how-to page holds, by the name in its first line."""
    return {
        fence.file: fence.text for page in sorted(PAGES.glob("*.md")) for fence in fences(page) if fence.file
    }


def write(folder: Path, *names: str) -> Path:
    """The folder with these files in it; without names, with all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        if not names or name in names:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def commands(page: str) -> list[str]:
    """The lines that a page has one type, in order."""
    blocks = [each for each in fences(PAGES / page) if each.language == "console" and not each.title]
    return [line for block in blocks for line in block.lines()]


def code(page: str) -> str:
    """The Python that a page has one run, in order; files are no part of it."""
    blocks = [
        each for each in fences(PAGES / page) if each.language == "python" and not (each.title or each.file)
    ]
    return "\n".join(block.text for block in blocks)


_ENCODER_ABILITIES = (Exemplifies, TrainsTails, Tries, Owns, OwnsOnHub, KnowsSizes)
BEGIN, END = "<!-- contract -->\n", "<!-- end of contract: written by tests/howto.py from the protocols -->"


def contract(page: str) -> str:
    """The contract of a page's kind in Markdown, as the protocols say it."""
    if page == "head.md":
        needed = members(HeadFile)
        optional = [each for each in members(Declared).values() if each.name.upper() not in needed]
        return "\n".join([
            "The file holds", "", *_rows(HeadFile), "", _about(Head), "", *_rows(Head), "",
            "It may also hold", "", *(f"- {each.text}".replace("``", "`") for each in optional), "",
            "A head may be able to do more. Each is a protocol of `sercache.head`:", "",
            *(line for ability in ABILITIES for line in _ability(ability)),
        ])  # fmt: skip
    if page == "corpus.md":
        return "\n".join([
            _about(CorpusReader), "", *_rows(CorpusReader), "", _about(OwnReader), "", *_rows(OwnReader),
        ])  # fmt: skip
    return "\n".join([
        _about(Family), "", *_rows(Family), "", "An encoder has", "", *_rows(Encoder), "", "A family may do more:", "",
        *(line for ability in _ENCODER_ABILITIES for line in _ability(ability)),
    ])  # fmt: skip


def _about(protocol: type) -> str:
    """What a protocol says of itself."""
    return " ".join((protocol.__doc__ or "").split()).replace("``", "`")


def _rows(protocol: type) -> list[str]:
    return [f"- `{each.written}`: {each.text}".replace("``", "`") for each in members(protocol).values()]


def _ability(protocol: type) -> list[str]:
    """An ability and its members, indented below it."""
    about = _about(protocol).rstrip(".")
    return [
        f"- {protocol.__name__}: {about[:1].lower()}{about[1:]}.",
        *(f"  {row}" for row in _rows(protocol)),
    ]


def rewrite() -> None:
    """Write the contracts into the pages anew."""
    for name in ("head.md", "corpus.md", "encoder.md"):
        page = PAGES / name
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(
            f"{before}{BEGIN}\n{contract(name)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )


if __name__ == "__main__":
    rewrite()
