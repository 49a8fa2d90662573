"""The example that each corpus brings of itself, by name, and the pieces that these are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sercache import catalog
from sercache.datasets._examples._acted import *  # noqa: F403
from sercache.datasets._examples._free import *  # noqa: F403
from sercache.datasets._examples._iemocap import *  # noqa: F403
from sercache.datasets._examples._listed import *  # noqa: F403
from sercache.datasets._examples._tables import *  # noqa: F403
from sercache.datasets._examples._tools import *  # noqa: F403

TREES: dict[str, Callable[[Path], Path]] = {
    name: catalog.load("sercache.datasets", name).example for name in catalog.names("sercache.datasets")
}
"""``TREES[name](root)`` builds one below ``root`` and returns the folder to read."""
