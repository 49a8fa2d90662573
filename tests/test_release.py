"""What is published beside the code: metadata, a citation, what stays as it is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import sercache

TOP = Path(__file__).parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_all_name_one_version_and_licence() -> None:
    cited = yaml.safe_load((TOP / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == PROJECT["version"] == sercache.__version__
    assert cited["license"] == PROJECT["license"]
    assert [each["name"] for each in cited["authors"]] == [each["name"] for each in PROJECT["authors"]]
    changes = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(sercache.__version__)}\b", changes, re.MULTILINE)


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/stability.md"])
def test_what_a_page_links_to_is_there(page: str) -> None:
    place = TOP / page
    for target in re.findall(r"\]\(([^)#]+)\)", place.read_text(encoding="utf-8")):
        assert (place.parent / target).exists(), target
