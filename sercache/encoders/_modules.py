"""Python modules that are missing, named: what a library says of them, deep in an import, is no fault of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sercache.errors import MissingExtraError, SercacheError

_NAMED = (
    re.compile(r"No module named '(?P<name>[\w.]+)'"),
    re.compile(r"requires the (?P<name>[\w-]+) library"),
    re.compile(r"(?P<name>lib\S+\.so\S*): cannot open shared object file"),
)
_PACKAGES = {"_cffi_backend": "cffi", "PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn"}
"""Module -> package, where they are called differently."""


@contextmanager
def missing_named(what: str) -> Iterator[None]:
    """Turn a module that cannot be imported, on whatever level, into one line; ``what`` needs it.

    Raises MissingExtraError.
    """
    try:
        yield
    except SercacheError:
        raise
    except Exception as fault:  # libraries wrap failed imports in errors of any kind
        line = missing(fault)
        if line is None:
            raise
        raise MissingExtraError(f"{what} needs {line}") from fault


def missing(fault: BaseException) -> str | None:
    """``the Python module X, which …`` where an import failed on the way to ``fault``, else None."""
    chain: list[BaseException] = []
    while fault is not None and fault not in chain:
        chain.append(fault)
        # Only what was raised from another: libraries try optional imports before they fail otherwise.
        fault = fault.__cause__  # type: ignore[assignment]
    for each in reversed(chain):  # what failed first
        if not isinstance(each, ImportError | OSError | RuntimeError):
            continue
        text = " ".join(str(each).split())
        name = getattr(each, "name", None) if isinstance(each, ModuleNotFoundError) else None
        match = next((found for pattern in _NAMED if (found := pattern.search(text))), None)
        name = name or (match["name"] if match else None)
        if name and ".so" in name:
            return f"the system library {name}, which is not installed"
        if name:
            package = _PACKAGES.get(name.partition(".")[0], name.partition(".")[0])
            return f"the Python module {name}, which is not installed; pip install {package}"
        if isinstance(each, ImportError):
            reason = text[:200] or "the library does not say which"
            return f"a Python module that cannot be imported ({reason}); mend the installation"
    return None
