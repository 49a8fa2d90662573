"""Options that several commands share word for word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)

root_option = click.option(
    "--root", type=FOLDER, help="The corpus' folder; remembered once it was extracted."
)
runs_option = click.option("--runs", type=FOLDER, help="Folder that runs are written to.")


def where_options(function: Callable) -> Callable:
    """``--cache`` and ``--device``."""
    function = click.option("--device", help="cpu, cuda, cuda:1, mps or auto.")(function)
    return click.option("--cache", type=FOLDER, help="Folder of the feature stores.")(function)
