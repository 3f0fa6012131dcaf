"""The page and the server's renderings say the same: plural forms are CLDR's, rows are worded alike."""

import json
from typing import Any

import msgspec
import pytest
from babel import Locale

from commons.texts import LANGUAGES, Language, load_catalogue
from stop_display.rendering_routes import load_words
from stop_display.server import WEB
from stop_display.wording import FORMS, Row, Showing, Words, rows
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.renderings.boards import CASES, NOON_MS, ZONE, Case

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SCRIPTS = "\n".join((WEB / name).read_text(encoding="utf-8") for name in ("words.js", "clock.js", "told.js"))
TELL = """([catalogue, language, lines, now, fresh]) => {
  const words = new Words(language);
  words.catalogue = catalogue;
  const clock = new CityClock();
  clock.offsetS = 18000;
  clock.now = () => now;
  const teller = new LineTeller(words, clock);
  teller.fresh = fresh;
  return teller.inOrder(lines).map((line) => Object.assign(teller.tell(line), { route: line.route }));
}"""


async def test_plural_forms_are_those_of_cldr(opened: Opened) -> None:
    async with opened() as (page, _):
        await page.add_script_tag(content=SCRIPTS)
        for language in LANGUAGES:
            told = await page.evaluate(
                "(language) => Array.from({ length: 201 }, (_, n) => new Words(language).form(n))", language
            )
            locale = Locale.parse(language)
            assert told == [FORMS[locale.plural_form(n)] for n in range(201)], language
            words = load_words(ZONE)[language]
            assert told == [words.form(n) for n in range(201)]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_page_and_renderings_word_rows_alike(opened: Opened, language: Language) -> None:
    catalogue = {name: dict(texts) for name, texts in load_catalogue("stop_display").items()}
    async with opened() as (page, _):
        await page.add_script_tag(content=SCRIPTS)
        for name, case in CASES.items():
            lines = json.loads(msgspec.json.encode(case.board.lines))
            told = await page.evaluate(TELL, [catalogue, language, lines, NOON_MS, case.showing.heard])
            assert worded(case, load_words(ZONE)[language]) == [said(one) for one in told], name


def said(told: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return route, figure, what it rests on and the time of a cancelled bus, as the page has them."""
    figure = " ".join(part for part in (told["figure"], told["unit"]) if part)
    gone = told["figure"] if told["state"] == "cancelled" else told["gone"]
    return told["route"], "" if told["state"] == "cancelled" else figure, told["kind"], gone


def worded(case: Case, words: Words) -> list[tuple[str, str, str, str]]:
    return [_worded(row, words, case.showing) for row in rows(case.showing)]


def _worded(row: Row, words: Words, showing: Showing) -> tuple[str, str, str, str]:
    gone = words.clock(row.cancelled.ms) if row.cancelled is not None else ""
    if row.coming:
        return row.line.route, words.figure(row.coming[0]), words.kind(row.coming[0]), gone
    if row.cancelled is not None:
        return row.line.route, "", words.say("cancelled"), gone
    assert showing.now_ms == NOON_MS
    return row.line.route, words.quiet(row), "", gone
