"""Browsers at stops are ten years old: what they cannot read must not be in the page. It must stay small, too."""

import re

import pytest

from stop_display.server import PAGE_FILES, WEB

TOO_NEW = {
    ".js": r"\?\.|\?\?|\basync\b|\bawait\b|\*\*|\.append\(|replaceChildren|replaceWith"
    r"|Object\.(entries|values|fromEntries)|padStart|\.finally\(|\.flat\(|\.at\(|catch \{"
    r"|\bimport\b|\bexport\b|fetch\(|URLSearchParams|matchAll"
    r"|\.{3}\w+\s*[,}]|globalThis|structuredClone|queueMicrotask|AbortController",
    ".css": r"(?<![-\w])gap:|display: grid|inset:|clamp\(|(?<!-)min\(|max\(|:is\(|:where\(|:has\(|:focus-visible"
    r"|aspect-ratio|rgb\(\d+ \d|padding-inline|margin-inline|sticky",
}
PAGE_MAX_BYTES = 60_000


@pytest.mark.parametrize("name", PAGE_FILES)
def test_what_browsers_of_2016_cannot_read_is_not_used(name: str) -> None:
    text = (WEB / name).read_text(encoding="utf-8")
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    found = re.finditer(TOO_NEW[f".{name.rpartition('.')[2]}"], code)
    assert [one.group() for one in found] == []


def test_the_page_asks_for_every_file_that_is_served_and_no_other() -> None:
    page = (WEB / "board.html").read_text(encoding="utf-8")
    assert set(re.findall(r"/static/board/([\w.]+)", page)) == set(PAGE_FILES)


def test_the_page_is_small() -> None:
    assert sum(len((WEB / name).read_bytes()) for name in (*PAGE_FILES, "board.html")) < PAGE_MAX_BYTES
