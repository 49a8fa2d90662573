"""What tests need that Linux alone has: ``/proc``, limits of a process, forks of a process with threads, ``/dev/full``.

A file of tests that imports this is skipped on other systems, with a word; ``test_system.py`` holds that all which
name such things do import it.
"""

from __future__ import annotations

import re
import sys

import pytest

ONLY_THERE = re.compile(
    r"^import (fcntl|resource)$|\"/proc/|f\"/proc/|'/proc/|os\.fork\(|RLIMIT_|/dev/full|ru_maxrss",
    re.MULTILINE,
)

if sys.platform != "linux":
    pytest.skip("written for Linux: see docs/stability.md", allow_module_level=True)
