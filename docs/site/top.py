"""Pages of files that lie above the folder of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

_FILES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def pages(top: Path) -> dict[str, str]:
    """These files as pages, with their links as seen from there."""
    return {
        page: re.sub(r"\]\(docs/", "](", (top / name).read_text(encoding="utf-8"))
        for name, page in _FILES.items()
    }
