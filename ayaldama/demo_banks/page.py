"""The pages of the demo's banks: what is to be paid, to whom, and the buttons."""

import html
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from ayaldama.demo_banks.payments import Payment, Press, Standing, tenge
from commons.texts import LANGUAGES, Language, load_catalogue

TENGE_SIGN: Final = "₸"
STYLE: Final = """
:root { color-scheme: light dark; font: 18px/1.5 system-ui, sans-serif; }
body { max-width: 26rem; margin: 0 auto; padding: 1.5rem 1rem; }
.demo { border: 2px dashed; padding: .5rem .75rem; border-radius: .5rem; }
.sum { font-size: 2.5rem; font-weight: 600; margin: .5rem 0; }
form { display: grid; gap: .75rem; margin-top: 1.5rem; }
label { display: grid; gap: .25rem; }
input, button, a.button { font: inherit; padding: .75rem; border-radius: .5rem; border: 1px solid; text-align: center; }
button.first { background: #0b5d3b; color: #fff; border-color: #0b5d3b; }
"""

Sent = TypeVar("Sent")


class Pages:
    """Words and frames of one bank's pages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts = load_catalogue("ayaldama.demo_banks")

    def text(self, language: Language, key: str) -> str:
        """Return a text."""
        return self._texts[language][key]

    def page(self, language: Language, parts: Iterable[str], *, status: int = 200) -> web.Response:
        """Return a page of ``parts``, which are HTML."""
        say = self._texts[language]
        title = html.escape(f"{self._name} · {say['demo.title']}")
        body = "\n".join([f"<h1>{title}</h1>", f'<p class="demo">{html.escape(say["demo.no_money"])}</p>', *parts])
        text = (
            f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
            f'<link rel="stylesheet" href="/bank.css"></head><body>{body}</body></html>'
        )
        return web.Response(text=text, content_type="text/html", status=status)

    def paragraph(self, language: Language, key: str, **values: str) -> str:
        """Return a text as a paragraph."""
        return f"<p>{html.escape(self.text(language, key).format(**values))}</p>"

    def total(self, tiyn: int) -> str:
        """Return an amount, large."""
        return f'<p class="sum">{tiyn // 100},{tiyn % 100:02d} {TENGE_SIGN}</p>'

    def buttons(self, language: Language, action: str, presses: Mapping[str, str]) -> str:
        """Return a form whose buttons send ``press``: value → key of its text."""
        made = [
            f'<button name="press" value="{html.escape(value)}"{" class=first" if not number else ""}>'
            f"{html.escape(self.text(language, key))}</button>"
            for number, (value, key) in enumerate(presses.items())
        ]
        return f'<form method="post" action="{html.escape(action)}">{"".join(made)}</form>'

    def link(self, language: Language, url: str, key: str) -> str:
        """Return a link that looks like a button, nothing for what is no web address."""
        if not url.startswith(("http://", "https://")):
            return ""
        return f'<p><a class="button" href="{html.escape(url)}">{html.escape(self.text(language, key))}</a></p>'


def language_of(text: str) -> Language:
    """Return a language that the pages have."""
    return next((one for one in LANGUAGES if one == text), "kk")


async def answer_style(_request: web.Request) -> web.Response:
    """Return the style sheet."""
    return web.Response(text=STYLE, content_type="text/css")


def payment_page(pages: Pages, payment: Payment, action: str) -> web.Response:
    """Return the page of a payment: what it is, how it stands, and what can be pressed."""
    language = language_of(payment.language)
    parts = [
        pages.paragraph(language, "pay.to", invoice=payment.invoice),
        pages.total(payment.amount_tiyn),
        pages.paragraph(language, f"standing.{payment.standing}"),
    ]
    if payment.refunded_tiyn:
        parts.append(pages.paragraph(language, "standing.taken_back", amount=tenge(payment.refunded_tiyn)))
    if payment.standing is Standing.PENDING:
        parts.append(pages.buttons(language, action, {Press.PAY: "pay.pay", Press.REFUSE: "pay.refuse"}))
    elif payment.standing is Standing.PAID and payment.refunded_tiyn < payment.amount_tiyn:
        parts.append(pages.buttons(language, action, {Press.TAKE_BACK: "pay.take_back"}))
    parts.append(pages.link(language, payment.return_url, "pay.back"))
    return pages.page(language, parts)


async def pressed(request: web.Request) -> Press:
    """Return which button was pressed.

    Raises:
        HTTPBadRequest: if none of ours.
    """
    try:
        return Press(str((await request.post()).get("press", "")))
    except ValueError as error:
        raise web.HTTPBadRequest from error


async def sent(request: web.Request, kind: type[Sent]) -> Sent:
    """Return the JSON that the merchant sent.

    Raises:
        HTTPUnprocessableEntity: if it is no ``kind``.
    """
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise web.HTTPUnprocessableEntity from error
