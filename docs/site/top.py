"""Pages of files that lie above the folder of the documentation."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

_FILES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/RESULTS.md": "measurements.md",
}
"""By their path in the repository: the page."""
_LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)#]+)(#[^)]*)?\)")


def pages(top: Path) -> dict[str, Callable[[], str]]:
    """What makes each of these files a page."""
    return {page: partial(_page, top, name) for name, page in _FILES.items()}


def _page(top: Path, name: str) -> str:
    """A file with its links as the site has them; of what is not on the site, the words alone."""

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link[2]))
        place = _FILES.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else "")
        if place.endswith(".ipynb"):
            place = place.replace(".ipynb", ".md")
        return f"[{link[1]}]({place}{link[3] or ''})" if place.endswith((".md", ".svg")) else link[1]

    return _LINK.sub(moved, (top / name).read_text(encoding="utf-8"))


def on_the_site(markdown: str, page: str) -> str:
    """A page of the folder with links to these files leading to their pages."""
    folder = posixpath.dirname(f"docs/{page}")

    def moved(link: re.Match[str]) -> str:
        place = _FILES.get(posixpath.normpath(posixpath.join(folder, link[2])))
        if place is None:
            return link[0]
        return f"[{link[1]}]({posixpath.relpath(f'docs/{place}', folder)}{link[3] or ''})"

    return _LINK.sub(moved, markdown)
