"""The page about feeds names every code there is, and no other."""

import re
from pathlib import Path

from gtfs_data.notices import Code
from gtfs_data.read import TABLES

PAGE = (Path(__file__).parents[2] / "docs" / "gtfs.md").read_text(encoding="utf-8")


def test_the_page_has_a_row_for_every_code() -> None:
    checked = PAGE.split("## What is checked")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in checked.splitlines() if line.startswith("| `")]
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == [code.value for code in Code]


def test_the_page_names_every_file_that_is_read() -> None:
    read = PAGE.split("## What is read")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in read.splitlines() if line.startswith("| `")]
    assert {name for cell in cells for name in re.findall(r"`(\w+)\.txt`", cell)} == set(TABLES)
