"""A machine with a card on which nothing can be installed may lack blake3; another digest tells recordings apart too.

Of no use for stores that are kept: digests are compared between stores.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

_STAND_IN = '''"""In the place of blake3."""

import hashlib


def blake3(data=b""):
    return hashlib.blake2b(data, digest_size=32)
'''


def stand_in() -> None:
    """Give this process, and those that it starts, a module of that name where there is none."""
    if importlib.util.find_spec("blake3") is not None:
        return
    folder = tempfile.mkdtemp(prefix="stand-in-")
    (Path(folder) / "blake3.py").write_text(_STAND_IN)
    sys.path.append(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), folder]))
