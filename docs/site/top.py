"""Pages of files that lie above the folder of the documentation."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

_FILES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def pages(top: Path) -> dict[str, Callable[[], str]]:
    """What makes each of these files a page, with its links as seen from there."""
    return {page: partial(_page, top / name) for name, page in _FILES.items()}


def _page(path: Path) -> str:
    return re.sub(r"\]\(docs/", "](", path.read_text(encoding="utf-8"))
