"""The demo's Kaspi: a page on which a person types a phone number and an amount, as in the bank's app.

The bank holds the money while it asks the service: check, pay until there is an answer, notify. The signature is made
here anew, from the bank's documentation.
"""

import hashlib
import html
import re
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from ayaldama.demo_banks.mischief import Forgery, Mischief, Teller, Word
from ayaldama.demo_banks.page import Pages, answer_style, language_of
from commons.texts import Language

PAY_TRIES_MAX: Final = 4
OPERATIONS: Final = range(10**9, 10**10)  # ten digits, as in the documentation's examples
ANOTHER: Final = "not what was agreed"  # what a forger signs with

_ACCOUNT: Final = re.compile(r"7\d{10}", re.ASCII)
_AMOUNT: Final = re.compile(r"[1-9]\d{0,5}", re.ASCII)
_SIGNED: Final = ("operationId", "account", "transactionId", "amount", "currency", "status")


class KaspiDesk:
    """The bank. ``hook``: where it reaches the service."""

    def __init__(self, *, hook: str, secret: str, mischief: Mischief, teller: Teller) -> None:
        self._hook, self._secret = hook, secret
        self._mischief, self._teller = mischief, teller
        self._pages = Pages("Kaspi")

    def routes(self) -> list[web.RouteDef]:
        """Return what the rider's browser asks for."""
        return [web.get("/", self._answer_form), web.post("/", self._answer_pay), web.get("/bank.css", answer_style)]

    async def _answer_form(self, request: web.Request) -> web.Response:
        return self._form(language_of(request.query.get("lang", "kk")), request.query.get("account", ""))

    async def _answer_pay(self, request: web.Request) -> web.Response:
        form = await request.post()
        language = language_of(str(form.get("lang", "kk")))
        account = re.sub(r"\D", "", str(form.get("account", "")), flags=re.ASCII)
        tenge = str(form.get("amount", ""))
        if not _ACCOUNT.fullmatch(account) or not _AMOUNT.fullmatch(tenge):
            return self._form(language, account, "kaspi.malformed")
        if await self._ask({"account": account}) != "YES":
            return self._form(language, account, "kaspi.unknown")
        operation = str(OPERATIONS.start + secrets.randbelow(len(OPERATIONS)))
        pay = {"account": account, "operationId": operation, "amount": f"{tenge}.00", "currency": "KZT"}
        answer = await self._pay(pay)
        if answer != "YES":
            return self._form(language, account, "kaspi.no" if answer == "NO" else "kaspi.silent")
        self._after(pay)
        return self._form(language, account, "kaspi.done", operation=operation)

    async def _pay(self, pay: Mapping[str, str]) -> str:
        """Ask until there is an answer; the bank too loses some."""
        answer = "ERROR"
        for _ in range(PAY_TRIES_MAX):
            answer = await self._ask(pay)
            if answer != "ERROR" and not self._mischief.loses_answer():
                return answer
        return answer

    def _after(self, pay: Mapping[str, str]) -> None:
        """Say that it is done; say ``pay`` again and again; and let somebody try what is forged."""
        notify = {**pay, "transactionId": str(secrets.randbelow(10**9) + 1), "status": "completed"}
        for telling in self._mischief.tellings():
            word = self._word(pay if telling.older else notify, self._secret)
            if telling.forgery is not None:
                word = self._forged(pay, telling.forgery)
            self._teller.tell(telling, lambda word=word: word)  # type: ignore[misc]

    def _forged(self, pay: Mapping[str, str], forgery: Forgery) -> Word:
        match forgery:
            case Forgery.AMOUNT:  # the same operation, more money: as if the bank erred
                return self._word({**pay, "amount": f"9{pay['amount']}"}, self._secret)
            case Forgery.OLD:  # the same string cut elsewhere, so that the signature is right
                account, amount = pay["account"], pay["amount"]
                cut = {"operationId": pay["operationId"] + account[0], "account": account[1:] + amount[0]}
                return self._word({**pay, **cut, "amount": amount[1:]}, self._secret)
            case Forgery.SECRET:
                operation = str(OPERATIONS.start + secrets.randbelow(len(OPERATIONS)))
                return self._word({**pay, "operationId": operation}, ANOTHER)

    def _word(self, fields: Mapping[str, str], secret: str) -> Word:
        values = "".join(fields.get(name, "") for name in _SIGNED)
        sign = hashlib.md5((values + secret).encode(), usedforsecurity=False).hexdigest()
        headers = {"Content-Type": "application/json", "Sign": sign}
        return Word(url=self._hook, body=msgspec.json.encode(fields), headers=headers)

    async def _ask(self, fields: Mapping[str, str]) -> str:
        answered = await self._teller.ask(self._word(fields, self._secret))
        if answered is None or answered[0] != 200:
            return "ERROR"
        return str(msgspec.json.decode(answered[1], type=dict[str, str]).get("status", "ERROR"))

    def _form(self, language: Language, account: str, said: str = "", **values: str) -> web.Response:
        text = self._pages.text
        parts = [self._pages.paragraph(language, "kaspi.service")]
        if said:
            parts.append(f"<strong>{self._pages.paragraph(language, said, **values)}</strong>")
        fields = [
            f'<label>{html.escape(text(language, f"kaspi.{name}"))}<input name="{name}" inputmode="numeric" '
            f'value="{html.escape(value)}" required></label>'
            for name, value in (("account", account), ("amount", "500"))
        ]
        button = f'<button class="first">{html.escape(text(language, "kaspi.send"))}</button>'
        hidden = f'<input type="hidden" name="lang" value="{language}">'
        parts.append(f'<form method="post" action="/">{hidden}{"".join(fields)}{button}</form>')
        return self._pages.page(language, parts)
