"""Whether the script that asks for workers can be imported by them: each process on this host imports it once more."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType

from sercache.errors import SettingsError


def check_guarded() -> None:
    """Raises SettingsError where the script that runs would ask for workers again when it is imported.

    Notebooks and prompts have no script.
    """
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    frame: FrameType | None = sys._getframe()
    while frame is not None and (frame.f_globals is not vars(main) or frame.f_code.co_name != "<module>"):
        frame = frame.f_back
    if path is None or frame is None:
        return
    try:
        body = ast.parse(Path(path).read_bytes()).body
    except (OSError, SyntaxError, ValueError):  # no source in Python
        return
    asks = next((each for each in body if each.lineno <= frame.f_lineno <= (each.end_lineno or 0)), None)
    if asks is not None and not _is_guard(asks):
        raise SettingsError(
            f"{path}:{frame.f_lineno} asks for workers as soon as it is imported, which each worker does: put it below "
            'if __name__ == "__main__":'
        )


def _is_guard(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )
