"""Executed notebooks as pages: text, code, what it printed, its plots."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import Any


def pages(docs: Path) -> dict[str, Callable[[], str]]:
    """What makes a page of each notebook in the folder, by its path on the site."""
    return {f"{path.stem}.md": partial(_page, path) for path in sorted(docs.glob("*.ipynb"))}


def _page(path: Path) -> str:
    book = json.loads(path.read_text(encoding="utf-8"))
    parts = [part for cell in book["cells"] for part in _cell(cell)]
    parts.append(f"*A notebook, `docs/{path.name}`; what stands under the code is what it printed.*")
    return "\n\n".join(parts) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if output["output_type"] == "stream":
            yield _printed("".join(output["text"]))
        elif "image/svg+xml" in data:
            yield _picture("image/svg+xml", "".join(data["image/svg+xml"]).encode())
        elif "image/png" in data:
            yield _picture("image/png", base64.b64decode("".join(data["image/png"])))
        elif "text/plain" in data:
            yield _printed("".join(data["text/plain"]))


def _printed(text: str) -> str:
    return f'<pre class="printed" markdown="0">{escape(text.rstrip())}</pre>'


def _picture(kind: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    return f'<img class="plot" alt="the plot that the code above draws" src="data:{kind};base64,{data}">'
