"""The label of a stop: names that fit, texts that are text, links that lead there."""

import re

import defusedxml.ElementTree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons.texts import load_catalogue
from stop_display.stop_page.label import (
    LETTER,
    MARGIN_MM,
    NAME_LINES_MAX,
    NAME_MIN_MM,
    SMALL_LINES_MAX,
    WIDTH_MM,
    fitted,
    stop_label_svg,
    stop_link,
)

TEXTS = load_catalogue("stop_display.stop_page")
NAME = {"kk": "Теміржол вокзалы", "ru": "Ж/д вокзал", "en": "Railway station"}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("stop", "code", "link"),
    [
        ("078b", "782", "https://bus.kz/s/782"),
        ("078b", "", "https://bus.kz/stop/078b"),
        ("а/я №1", "", "https://bus.kz/stop/%D0%B0%2F%D1%8F%20%E2%84%961"),
        ("1", "7 8/2", "https://bus.kz/s/7%208%2F2"),
    ],
)
def test_the_link_is_short_where_the_stop_has_a_number_of_its_own(stop: str, code: str, link: str) -> None:
    assert stop_link("https://bus.kz", stop, code) == link


@given(
    st.lists(st.text("абвгқң №19-", min_size=1, max_size=14), min_size=1, max_size=9).map(" ".join),
    st.sampled_from([11.0, 8.0]),
)
def test_a_name_keeps_its_words_and_fits_the_paper(name: str, most_mm: float) -> None:
    size_mm, rows = fitted(name, most_mm)
    assert " ".join(rows).split() == name.split()
    assert NAME_MIN_MM <= size_mm <= most_mm
    if size_mm > NAME_MIN_MM:
        assert len(rows) <= NAME_LINES_MAX
        assert all(len(row) * size_mm * LETTER <= WIDTH_MM - 2 * MARGIN_MM for row in rows)


@pytest.mark.parametrize("name", ["Ұ" * 600, "Теміржол вокзалы " * 40])
def test_a_name_without_end_stays_on_the_paper_above_the_code(name: str) -> None:
    size_mm, rows = fitted(name, 11.0)
    assert (size_mm, rows[-1][-1]) == (NAME_MIN_MM, "…")
    assert len(rows) <= SMALL_LINES_MAX
    assert all(len(row) * size_mm * LETTER <= WIDTH_MM - 2 * MARGIN_MM for row in rows)


def test_a_label_says_name_number_and_how_in_all_languages() -> None:
    label = stop_label_svg("https://bus.kz/s/782", NAME, "782", TEXTS, sms_code="2505")
    said = [node.text for node in defusedxml.ElementTree.fromstring(label).findall(f"{SVG}text")]
    assert said[:3] == ["Теміржол вокзалы", "Ж/д вокзал", "№ 782"]
    assert {TEXTS[language]["label.how"] for language in ("kk", "ru", "en")} <= set(said)
    assert "Or by SMS: STOP 782 to 2505" in said


def test_where_no_sms_is_taken_none_is_promised() -> None:
    assert "SMS" not in stop_label_svg("https://bus.kz/s/782", NAME, "782", TEXTS)
    assert "SMS" not in stop_label_svg("https://bus.kz/stop/1", NAME, "", TEXTS, sms_code="2505")


def test_a_hostile_name_stays_text() -> None:
    name = dict.fromkeys(NAME, '<script>alert(1)</script>&"')
    label = stop_label_svg("https://bus.kz/s/1?<x>", name, "<b>", TEXTS)
    assert re.findall(r"<(?:script|b|x)\b", label) == []
    defusedxml.ElementTree.fromstring(label)
