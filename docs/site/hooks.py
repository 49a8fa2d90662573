"""What MkDocs calls while it builds the site (mkdocs.yml): pages that are made of records, pictures set into pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catalogue  # MkDocs looks beside a hook while it loads it
import commands
import notebooks
import papers
import top

DOCS = Path(__file__).parents[1]
_PICTURE = re.compile(r"^!\[([^\]]*)\]\(((?:\.\./)*pictures/[\w-]+\.svg)\)$", re.MULTILINE)


MADE: dict[str, Callable[[], str]] = {
    "corpora.md": catalogue.corpora,
    "encoders.md": catalogue.encoders,
    "heads.md": catalogue.heads,
    "papers.md": papers.page,
    "cli.md": commands.page,
    **notebooks.pages(DOCS),
    **top.pages(DOCS.parent),
}
"""Pages that no file holds, by their path on the site: what makes the Markdown."""


def on_files(files: Any, config: Any) -> Any:
    """The files of the folder, and the pages that are made."""
    from mkdocs.structure.files import File

    for path, make in MADE.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its pictures in it, so that they take its colours, and links that stay on the site."""
    folder = DOCS / Path(page.file.src_uri).parent

    def inline(found: re.Match[str]) -> str:
        picture = (folder / found[2]).read_text(encoding="utf-8")
        in_a_line = " ".join(picture.split())
        return f'<figure class="picture" markdown="0">{in_a_line}</figure>'

    return top.on_the_site(_PICTURE.sub(inline, markdown), page.file.src_uri)
