"""The accountant's page and its data: books, statements, reports, refunds, comparisons, and who did what.

Each answer needs a right of ``fare.people``; a carrier's person gets their own statements and nothing else (attack 46).
Files take many tokens and are noted, so the books cannot be carried away by the basket (attack 51). Pairs of stops with
fewer riders than ``FEW`` are not shown apart: they could be one person's day.
"""

import asyncio
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from aiohttp import web

from commons.assets import Asset, asset_of, asset_route
from commons.clock import Clock
from commons.texts import LANGUAGES, Language, load_catalogue
from fare.api.accounting_values import (
    AccountLine,
    AccountShown,
    ActLine,
    ActsShown,
    BalanceLine,
    BalanceShown,
    ComparisonListed,
    JourneyLine,
    JourneysShown,
    ReportLine,
    ReportShown,
    StatementListed,
)
from fare.api.answers import answer, day_of, download, refused
from fare.api.signed_in import Doorkeeper, route_of
from fare.audit_trail import Act
from fare.ledger.accounts import CHART, rule_of
from fare.ledger.audit import statement, trial_balance
from fare.model import AccountCode, CarrierId, MediumId
from fare.people import Right, Session
from fare.reconciliation_service import comparisons, findings_of
from fare.settlement.closing import Part
from fare.settlement.exports import statements_csv, tides_csv
from fare.settlement.reports import UNKNOWN, Dimension, origins_and_destinations, totals, totals_by
from fare.settlement_service import Settlement
from fare.store.ledger_books import balances_tiyn, moves_of
from fare.store.postgres_audit import audit_broken_at, latest_lines
from fare.store.postgres_desk import amnesties_listed, refunds_listed
from fare.store.postgres_people import PostgresPeople
from fare.store.postgres_settlement import StoredStatement, statements_between

WEB: Final = Path(__file__).parents[1] / "web" / "books"
PAGE_FILES: Final = (
    *("app.js", "ask.js", "claims.js", "debts.js", "decision.js", "page.css", "parts.js", "top_ups.js", "views.js"),
)
MOVES_MAX: Final = 500
ACTS_MAX: Final = 200
DAYS_MAX: Final = 92
FEW: Final = 5
REPORT_TOKENS: Final = 4  # all rides of a day are read
EXPORT_TOKENS: Final = 10  # of 60, refilled at 30 a minute

Paper = Callable[[StoredStatement, Language], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the page shows: of which city, by which services. ``paper`` prints a statement.

    ``names``: how people call lines and stops, by id; one that is not there is shown by its id.
    """

    pool: asyncpg.Pool
    people: PostgresPeople
    settlement: Settlement
    zone: ZoneInfo
    currency: str
    carrier_names: Mapping[CarrierId, str]
    names: Mapping[Dimension, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    paper: Paper
    new_key: Callable[[], bytes]


class Accounting:
    """Routes that read."""

    def __init__(self, books: Books, door: Doorkeeper, clock: Clock) -> None:
        self._books = books
        self._door = door
        self._clock = clock
        city = {"city.zone": books.zone.key}
        texts = {language: {**texts, **city} for language, texts in load_catalogue("fare.settlement").items()}
        self._texts: Asset = asset_of(msgspec.json.encode(texts), "application/json")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of page and data."""
        return [
            asset_route("/books/", WEB / "page.html"),
            *(asset_route(f"/books/{name}", WEB / name) for name in PAGE_FILES),
            asset_route("/books/words.js", WEB.parent / "inspector" / "words.js"),
            web.get("/books/texts.json", self._answer_texts),
            web.get("/api/books/balance", self._balance),
            web.get("/api/books/accounts/{account}", self._account),
            web.get("/api/books/statements", self._statements),
            web.get("/api/books/statements/{day}/{carrier}/{part}/{file}", self._statement_file),
            web.get("/api/books/rides/{day}/{carrier}/fare_transactions.csv", self._rides_file),
            web.get("/api/books/reports/{day}/{by}", self._report),
            web.get("/api/books/journeys/{day}", self._journeys),
            web.get("/api/books/refunds", self._refunds),
            web.get("/api/books/amnesties", self._amnesties),
            web.get("/api/books/comparisons", self._comparisons),
            web.get("/api/books/comparisons/{number}", self._comparison),
            web.get("/api/books/acts", self._acts),
        ]

    async def _answer_texts(self, request: web.Request) -> web.Response:
        return self._texts.answer(request, max_age_s=0)

    async def _balance(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_BOOKS)
        lines = trial_balance(await balances_tiyn(self._books.pool))
        shown = BalanceShown(
            currency=self._books.currency,
            lines=tuple(
                BalanceLine(
                    kind=line.kind,
                    accounts=line.accounts,
                    debit_tiyn=line.debit_tiyn,
                    credit_tiyn=line.credit_tiyn,
                    grows=CHART[line.kind].side.name.lower(),
                )
                for line in lines
            ),
            difference_tiyn=sum(line.debit_tiyn - line.credit_tiyn for line in lines),
        )
        return answer(shown)

    async def _account(self, request: web.Request) -> web.Response:
        session = await self._door.reading(request, Right.READ_BOOKS)
        code = AccountCode(request.match_info["account"])
        if rule_of(code) is None:
            raise refused(web.HTTPNotFound, "no_such_account")
        moves = await moves_of(self._books.pool, code)
        lines = list(statement(code, 0, moves))[-MOVES_MAX:]
        if code.startswith(("wallet:", "debt:", "aggregate:", "deposit:")):  # somebody's journeys can be read from it
            await self._noted(session, Act.HISTORY_READ, code)
        shown = AccountShown(
            account=code,
            moves=len(moves),
            lines=tuple(
                AccountLine(
                    number=line.move.number,
                    occurred_ms=line.move.occurred_ms,
                    kind=line.move.kind,
                    subject=line.move.subject,
                    grown_tiyn=line.grown_tiyn,
                    standing_tiyn=line.standing_tiyn,
                )
                for line in reversed(lines)
            ),
        )
        return answer(shown)

    async def _statements(self, request: web.Request) -> web.Response:
        session = await self._reading_statements(request, tokens=1)
        first, last = day_of(request.query.get("from", "")), day_of(request.query.get("until", ""))
        if not dt.timedelta() <= last - first <= dt.timedelta(days=DAYS_MAX):
            raise refused(web.HTTPBadRequest, "wrong_days")
        carrier = None if session.person.may(Right.READ_STATEMENTS) else session.person.carrier_id
        found = await statements_between(self._books.pool, first, last, carrier)
        return answer([self._listed(one) for one in found if session.person.sees(one.statement.carrier_id)])

    async def _statement_file(self, request: web.Request) -> web.Response:
        session = await self._exporting(request)
        day, carrier, file = day_of(request.match_info["day"]), _carrier(request), request.match_info["file"]
        part = next((one for one in Part if one == request.match_info["part"]), None)
        found = await self._books.settlement.statements(day, carrier)
        wanted = [one for one in found if one.part is part]
        if not wanted or file not in {"statement.csv", *(f"statement.{language}.pdf" for language in LANGUAGES)}:
            raise refused(web.HTTPNotFound, "no_such_statement")
        name = f"{day}-{part}"
        await self._noted(session, Act.EXPORTED, f"{carrier}/{name}", file)
        if file == "statement.csv":
            return download(statements_csv([wanted[0].statement]), f"{name}.csv", "text/csv")
        language = next(one for one in LANGUAGES if file == f"statement.{one}.pdf")
        printed = await asyncio.to_thread(self._books.paper, wanted[0], language)
        return download(printed, f"{name}.pdf", "application/pdf")

    async def _rides_file(self, request: web.Request) -> web.Response:
        session = await self._exporting(request)
        day, carrier = day_of(request.match_info["day"]), _carrier(request)
        sales = await self._books.settlement.sales(day, carrier)
        # Named alike within this file and in no other: whoever has two of them cannot follow anybody.
        key = self._books.new_key()

        def token(medium_id: MediumId) -> str:
            return hmac.new(key, medium_id.encode(), hashlib.sha256).hexdigest()[:16]

        await self._noted(session, Act.EXPORTED, f"{carrier}/{day}", f"fare_transactions, {len(sales)} rides")
        content = tides_csv(sales, self._books.zone, self._books.currency, token)
        return download(content, f"{day}-fare_transactions.csv", "text/csv")

    async def _report(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_REPORTS, tokens=REPORT_TOKENS)
        dimension = next((one for one in Dimension if one == request.match_info["by"]), None)
        if dimension is None:
            raise refused(web.HTTPNotFound, "no_such_report")
        sales = await self._books.settlement.sales(day_of(request.match_info["day"]))
        by, total = await asyncio.to_thread(
            lambda: (totals_by(sales, dimension, self._books.zone), totals(sales))  # a day of a city is many
        )
        shown = ReportShown(
            by=dimension,
            lines=tuple(
                ReportLine(value=value, name=self._name(dimension, value), totals=one) for value, one in by.items()
            ),
            total=total,
        )
        return answer(shown)

    async def _journeys(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_REPORTS, tokens=REPORT_TOKENS)
        sales = await self._books.settlement.sales(day_of(request.match_info["day"]))
        counted = await asyncio.to_thread(origins_and_destinations, sales)
        known = {pair: riders for pair, riders in counted.items() if UNKNOWN not in pair}
        many = sorted(
            ((riders, pair) for pair, riders in known.items() if riders >= FEW), key=lambda one: (-one[0], one[1])
        )
        shown = JourneysShown(
            lines=tuple(
                JourneyLine(
                    from_stop_id=pair[0],
                    from_stop=self._name(Dimension.STOP, pair[0]),
                    to_stop_id=pair[1],
                    to_stop=self._name(Dimension.STOP, pair[1]),
                    riders=riders,
                )
                for riders, pair in many
            ),
            few_riders=sum(riders for riders in known.values() if riders < FEW),
            unknown_riders=sum(counted.values()) - sum(known.values()),
        )
        return answer(shown)

    async def _refunds(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_CLAIMS)
        return answer(await refunds_listed(self._books.pool))

    async def _amnesties(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_CLAIMS)
        return answer(await amnesties_listed(self._books.pool))

    async def _comparisons(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_BOOKS)
        found = await comparisons(self._books.pool, ACTS_MAX)
        return answer(
            [
                ComparisonListed(
                    number=one.reconciliation_id,
                    account=one.account,
                    file_name=one.file_name,
                    at_ms=one.at_ms,
                    by=one.by,
                )
                for one in found
            ]
        )

    async def _comparison(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_BOOKS)
        number = request.match_info["number"]
        if not re.fullmatch(r"[0-9]{1,15}", number):
            raise refused(web.HTTPNotFound, "no_such_comparison")
        found = await findings_of(self._books.pool, int(number))
        return answer(found)

    async def _acts(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_AUDIT)
        lines = await latest_lines(self._books.pool, ACTS_MAX)
        shown = ActsShown(
            broken_at=await audit_broken_at(self._books.pool),
            lines=tuple(
                ActLine(
                    number=one.number,
                    at_ms=one.at_ms,
                    who=one.who,
                    act=one.act,
                    subject=one.subject,
                    detail=one.detail,
                    hash=one.hash.hex(),
                )
                for one in lines
            ),
        )
        return answer(shown)

    def _name(self, dimension: Dimension, value: str) -> str:
        if dimension is Dimension.CARRIER:
            return self._books.carrier_names.get(CarrierId(value), value)
        return self._books.names.get(dimension, {}).get(value, value)

    async def _reading_statements(self, request: web.Request, *, tokens: int) -> Session:
        session = await self._door.reading(request, Right.EXPORT, tokens=tokens)
        if not session.person.may(Right.READ_STATEMENTS) and not session.person.may(Right.READ_OWN_STATEMENTS):
            await self._door.forbid(session, route_of(request))
        return session

    async def _exporting(self, request: web.Request) -> Session:
        session = await self._reading_statements(request, tokens=EXPORT_TOKENS)
        carrier = _carrier(request)
        if not session.person.sees(carrier):
            known = carrier if carrier in self._books.carrier_names else "?"
            await self._door.forbid(session, f"{route_of(request)} of {known}")
        return session

    async def _noted(self, session: Session, act: Act, subject: str, detail: str = "") -> None:
        await self._books.people.noted(self._clock.now_ms(), session.person.name, act, subject, detail)

    def _listed(self, one: StoredStatement) -> StatementListed:
        of = one.statement
        return StatementListed(
            carrier_id=of.carrier_id,
            carrier_name=self._books.carrier_names.get(of.carrier_id, of.carrier_id),
            day=of.service_date,
            part=one.part,
            paid=one.paid,
            rides=of.rides,
            forgiven_rides=of.forgiven_rides,
            charged_tiyn=of.charged_tiyn,
            cash_tiyn=of.cash_tiyn,
            subsidy_tiyn=of.subsidy_tiyn,
            refunds_tiyn=of.refunds_tiyn,
            commission_tiyn=of.commission_tiyn,
            payable_tiyn=of.payable_tiyn,
        )


def _carrier(request: web.Request) -> CarrierId:
    return CarrierId(request.match_info["carrier"])
