"""The head that all pages have: what each adds to it, and that none goes out without."""

import re
from pathlib import Path

import pytest

from commons.assets import MARK, page_of, whole_page

PROJECT = Path(__file__).parents[2]
ROOMS = ("ayaldama", "dispatch", "fare", "stop_display")
PAGES = sorted(path for room in ROOMS for path in (PROJECT / room).rglob("*.html"))


def policy_of(page: str) -> dict[str, str]:
    found = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', page)
    assert found is not None
    parts = [part.strip().partition(" ") for part in found[1].split(";")]
    assert len({name for name, _, _ in parts}) == len(parts)  # of two alike a browser heeds the first
    return {name: value for name, _, value in parts}


def test_a_mark_becomes_the_head_and_what_it_says_replaces_or_joins_what_all_have() -> None:
    mark = "<!-- head: form-action 'self'; connect-src 'self' ws:; viewport viewport-fit=cover; icon a.svg -->"
    page = whole_page(f"<head>{mark}</head><!-- brand --><!-- other -->".encode()).decode()
    assert policy_of(page) == {
        "default-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'self'",
        "connect-src": "'self' ws:",
    }
    assert 'content="width=device-width, initial-scale=1, viewport-fit=cover"' in page
    assert '<link rel="icon" href="a.svg" />' in page
    assert page.endswith("</a><!-- other -->")
    assert whole_page(b"<head></head>") == b"<head></head>"


@pytest.mark.parametrize("path", PAGES, ids=[path.relative_to(PROJECT).as_posix() for path in PAGES])
def test_every_page_of_ours_is_whole_and_lets_no_foreign_script_in(path: Path) -> None:
    page = page_of(path).body.decode()
    assert not MARK.search(page)
    policy = policy_of(page)
    assert (policy["default-src"], policy["base-uri"]) == ("'self'", "'none'")
    assert "script-src" not in policy
    assert "unsafe" not in str(policy)
    for said in ('<meta charset="utf-8" />', 'name="viewport" content="width=device-width', "<title>", 'rel="icon"'):
        assert page.count(said) == 1, said
