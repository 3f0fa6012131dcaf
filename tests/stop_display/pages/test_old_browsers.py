"""Browsers at stops are ten years old: what they cannot read must not be in the page. It must stay small, too."""

import re

import pytest
from playwright.async_api import Error

from ayaldama.web.vendor import INSTALLED
from stop_display.server import PAGE_FILES, WEB
from stop_display.squeeze import squeezed
from tests.stop_display.pages.conftest import Opened

TOO_NEW = {
    ".js": r"\?\.|\?\?|\basync\b|\bawait\b|\*\*|\.append\(|replaceChildren|replaceWith"
    r"|Object\.(entries|values|fromEntries)|padStart|\.finally\(|\.flat\(|\.at\(|catch \{"
    r"|\bimport\b|\bexport\b|fetch\(|URLSearchParams|matchAll"
    r"|\.{3}\w+\s*[,}]|globalThis|structuredClone|queueMicrotask|AbortController",
    ".css": r"(?<![-\w])gap:|display: grid|inset:|clamp\(|(?<!-)min\(|max\(|:is\(|:where\(|:has\(|:focus-visible"
    r"|aspect-ratio|rgb\(\d+ \d|padding-inline|margin-inline|sticky",
}
PAGE_MAX_BYTES = 60_000  # of script and style, as sent before gzip
SCRIPTS = [*(name for name in PAGE_FILES if name.endswith(".js")), "worker.js"]


@pytest.mark.parametrize("name", PAGE_FILES)
def test_what_browsers_of_2016_cannot_read_is_not_used(name: str) -> None:
    text = (WEB / name).read_text(encoding="utf-8")
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    found = re.finditer(TOO_NEW[f".{name.rpartition('.')[2]}"], code)
    assert [one.group() for one in found] == []


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.browser
@pytest.mark.skipif(not (INSTALLED / "acorn").exists(), reason="acorn is missing: make vendor")
async def test_scripts_are_read_by_a_parser_that_knows_the_language_of_2015_only(opened: Opened) -> None:
    async with opened() as (page, _):
        await page.evaluate((INSTALLED / "acorn" / "dist" / "acorn.js").read_text(encoding="utf-8"))
        for name in SCRIPTS:
            source = (WEB / name).read_bytes()
            for text in (source, squeezed(name)(source)):
                await page.evaluate("text => void acorn.parse(text, {ecmaVersion: 2015})", text.decode())
        with pytest.raises(Error, match="Unexpected token"):
            await page.evaluate("acorn.parse('f(1,)', {ecmaVersion: 2015})")


def test_the_page_asks_for_every_file_that_is_served_and_no_other() -> None:
    page = (WEB / "board.html").read_text(encoding="utf-8")
    assert sorted(re.findall(r"/static/board/([\w.]+)", page)) == sorted(PAGE_FILES)  # each once


def test_the_page_is_small() -> None:
    assert sum(len(squeezed(name)((WEB / name).read_bytes())) for name in (*PAGE_FILES, "worker.js")) < PAGE_MAX_BYTES


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_can_be_squeezed_line_by_line(name: str) -> None:
    text = (WEB / name).read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.count("`") % 2] == []  # no text over several lines
    assert re.findall(r"^.*\S.*/\*[^*]*$|^[ \t]*/\*.*\*/[ \t]*\S.*$", text, re.MULTILINE) == []


def test_squeezing_leaves_code_and_takes_comments() -> None:
    script = b"""
        "use strict";
        // why it's so

        /** Say
         * more. */
        function a() {
          return "http://x"; // kept
        }
        const b = `// ${c} = d`; //
        const c = "a // b, c";
        const d = - -1; // it's kept
        const e = 1;
    """
    assert squeezed("a.js")(script).decode() == (
        '"use strict";function a(){return "http://x";\n}\nconst b=`// ${c} = d`;\nconst c="a // b, c";\n'
        "const d=- -1;// it's kept\nconst e=1;"
    )
    style = b"""
        /* why */
        .a:focus,
        .b > .c {
          color: var(--ink);
          font: 400 16px/1.3 "Golos Text", Arial;
          top: calc(3 * var(--u));
        }
        .d[data-a="yes"]:not([data-b="1"]) {
          top: 0;
        }
        @media (max-width: 600px) {
          .d { top: 0; }
        }
    """
    assert squeezed("a.css")(style).decode() == (
        '.a:focus,.b > .c{color:var(--ink);font:400 16px/1.3 "Golos Text", Arial;top:calc(3*var(--u))}'
        '.d[data-a=yes]:not([data-b="1"]){top:0}@media (max-width: 600px){.d{ top: 0; }}'
    )
