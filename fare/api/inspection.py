"""The inspector's phone: its page, sign-in, lists of vehicles, checks, and the entries of cases.

What it needs of the rest of the house is the port ``InspectionDesk``: to read, to record a look and to append an
entry. There is no method that charges, so nothing asked for here can (incident I3). Who acts is whoever signed in,
never what a request says of itself. Tokens run out for who asks too often (attack 11), by person, and for signing in
by person and by address.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeVar

import msgspec
from aiohttp import web

from commons.assets import asset_of, asset_route
from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from commons.texts import load_catalogue
from fare.api.answers import NUL_IN_JSON
from fare.inspection import allowance
from fare.inspection.allowance import Allowance
from fare.inspection.cases import CaseId, CaseOutcome, Entry, EntryId, PersonId, Role, Step
from fare.inspection.session import Session, SessionToken
from fare.inspection.values import InspectionRules, Question, Showing, Standing, VehicleFacts, Verdict
from fare.inspection.verdict import inspect, ticket_hash, vehicle_list

WEB: Final = Path(__file__).parents[1] / "web" / "inspector"
PHONE: Final = WEB.with_name("phone")
PAGE_FILES: Final = ("app.js", "kept.js", "own_code.js", "page.css", "verdict.js", "words.js")
BODY_MAX_BYTES: Final = 65_536
ENTRIES_MAX: Final = 50  # of one upload
SHOWN_MAX: Final = 20  # of one upload
SHOWN_AGE_MAX_MS: Final = 2 * 3_600_000  # a ride is over by then
ENTRY_AGE_MAX_MS: Final = 3 * 86_400_000  # kept on a phone for longer, it would come when days to appeal are gone
LIST_TOKENS: Final = 5
PERSONS_MAX: Final = 10_000  # whose allowances are remembered; beyond, those that are full are forgotten

_KEPT: Final = frozenset({CaseOutcome.RECORDED, CaseOutcome.ALREADY_RECORDED})

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()
Sent = TypeVar("Sent")


class InspectionDesk(Protocol):
    """What inspection needs of storage. It reads; it appends looks and entries; it cannot charge."""

    async def sign_in(self, person_id: PersonId, pin: str, now_ms: int) -> Session | None:
        """Return a new session, None if number and PIN do not belong together."""

    async def session(self, token: SessionToken, now_ms: int) -> Session | None:
        """Return the session of ``token``, None if there is none any more."""

    async def facts(self, vehicle_id: str, now_ms: int) -> VehicleFacts | None:
        """Return what is known of a vehicle, None if there is no such vehicle."""

    async def looked(self, person_id: PersonId, vehicle_id: str, standing: Standing, now_ms: int) -> None:
        """Keep that a person asked and what the answer was, without the code."""

    async def shown(self, tap_key: str, person_id: PersonId, showing: Showing) -> None:
        """Keep that a person was shown what a tap paid for; the same showing twice is one."""

    async def append(self, entry: Entry, rules: InspectionRules) -> CaseOutcome:
        """Keep ``entry`` as ``cases.decide`` says, in one transaction with the chain's newest record."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/inspection/sign-in``."""

    person_id: PersonId
    pin: str


class ShownSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that a phone judged as paid while it had no connection."""

    showing_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    vehicle_id: str
    code: str
    at_ms: int


class EntrySent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry as a phone sends it: who and as what is not its to say."""

    entry_id: EntryId
    case_id: CaseId
    step: Step
    at_ms: int
    vehicle_id: str = ""
    verdict: Verdict | None = None
    fine_tiyn: int = 0
    evidence: tuple[str, ...] = ()
    reason: str = ""


class EntryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an entry."""

    entry_id: EntryId
    outcome: CaseOutcome


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not answered: a key of the texts, and when to come back."""

    error: str
    retry_s: int = 0


class Inspection:
    """Routes of the inspector's phone. ``code_key`` makes check codes; ``new_salt`` gives 16 unforeseeable bytes.

    ``city``: whose phones' codes are taken. ``zone`` is the city's: the phone tells times in it. ``address_of`` says
    where a request comes from: behind a proxy that is what the proxy has seen.
    """

    def __init__(
        self,
        desk: InspectionDesk,
        *,
        rules: InspectionRules,
        code_key: bytes,
        new_salt: "SaltSource",
        city: str,
        zone: str = "UTC",
        clock: Clock,
        metrics: Metrics,
        address_of: Callable[[web.Request], str] = lambda request: request.remote or "",
    ) -> None:
        self._desk = desk
        self._address_of = address_of
        self._rules = rules
        self._code_key = code_key
        self._new_salt = new_salt
        self._city = city
        self._clock = clock
        self._metrics = metrics
        self._allowances: dict[str, Allowance] = {}
        catalogue = load_catalogue("fare.inspection")
        texts = {language: {**texts, "city.zone": zone} for language, texts in catalogue.items()}
        self._texts = asset_of(_encoder.encode(texts), "application/json")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of page and data. The page's address is the widest that its worker may answer for."""
        return [
            asset_route("/inspector/", WEB / "page.html"),
            asset_route("/inspector/worker.js", WEB / "worker.js"),
            asset_route("/inspector/manifest.webmanifest", WEB / "manifest.webmanifest"),
            *(asset_route(f"/inspector/{name}", WEB / name) for name in PAGE_FILES),
            asset_route("/inspector/codes.js", PHONE / "codes.js"),
            web.get("/inspector/texts.json", self._answer_texts),
            web.post("/api/inspection/sign-in", self._sign_in),
            web.get("/api/inspection/vehicles/{vehicle_id}", self._answer_list),
            web.post("/api/inspection/checks", self._check),
            web.post("/api/inspection/shown", self._take_shown),
            web.post("/api/inspection/entries", self._append),
        ]

    async def _answer_texts(self, request: web.Request) -> web.Response:
        return self._texts.answer(request, max_age_s=0)

    async def _sign_in(self, request: web.Request) -> web.Response:
        sent = await _body(request, SignIn)
        self._take(f"sign-in {sent.person_id}", allowance.SIGN_IN)
        self._take(f"sign-in from {self._address_of(request)}", allowance.SIGN_IN)
        session = await self._desk.sign_in(sent.person_id, sent.pin, self._clock.now_ms())
        if session is None:
            raise _refused(web.HTTPUnauthorized, "wrong_number_or_pin")
        return _answer(session)

    async def _answer_list(self, request: web.Request) -> web.Response:
        session = await self._signed_in(request)
        self._take(session.person_id, LIST_TOKENS)
        if "\0" in request.match_info["vehicle_id"]:
            raise _refused(web.HTTPNotFound, "no_such_vehicle")
        facts = await self._facts(request.match_info["vehicle_id"])
        now_ms = self._clock.now_ms()
        return _answer(vehicle_list(facts, self._code_key, self._new_salt(), now_ms, self._rules, city=self._city))

    async def _check(self, request: web.Request) -> web.Response:
        session = await self._signed_in(request)
        question = await _body(request, Question)
        self._take(session.person_id, allowance.CHECK)
        now_ms = self._clock.now_ms()
        verdict = await self._judge(question, session.person_id, now_ms)
        if verdict.standing.founds_warning or verdict.otherwise is not None:
            self._take(session.person_id, allowance.FOUND_NOTHING - allowance.CHECK)
        await self._desk.looked(session.person_id, question.vehicle_id, verdict.standing, now_ms)
        self._metrics.count("inspection_checks_total", standing=verdict.standing.value)
        return _answer(verdict)

    async def _take_shown(self, request: web.Request) -> web.Response:
        """Take in what a phone judged alone. It is told nothing of it, so nothing can be found out so."""
        session = await self._signed_in(request)
        sent = await _body(request, tuple[ShownSent, ...])
        if len(sent) > SHOWN_MAX:
            raise _refused(web.HTTPRequestEntityTooLarge, "too_many_entries")
        self._take(session.person_id, allowance.CHECK * len(sent))
        now_ms = self._clock.now_ms()
        for one in sent:
            at_ms = min(one.at_ms, now_ms)  # the phone's clock may be a little ahead
            if at_ms >= now_ms - SHOWN_AGE_MAX_MS:
                question = Question(vehicle_id=one.vehicle_id, code=one.code, showing_id=one.showing_id)
                await self._judge(question, session.person_id, at_ms)
        return _answer(None)

    async def _judge(self, question: Question, person_id: PersonId, at_ms: int) -> Verdict:
        """Judge by what is known now; what is paid counts as shown to ``person_id`` at ``at_ms``."""
        facts, salt = await self._facts(question.vehicle_id), self._new_salt()
        held = vehicle_list(facts, self._code_key, salt, at_ms, self._rules, city=self._city)
        judged = inspect(question, held, at_ms)
        if question.showing_id and judged.tap is not None:
            key = self._key_of(judged.tap.ticket_hash, facts, salt)
            await self._desk.shown(key, person_id, Showing(showing_id=question.showing_id, at_ms=at_ms))
        return judged.verdict

    async def _append(self, request: web.Request) -> web.Response:
        session = await self._signed_in(request)
        self._take(session.person_id, allowance.CHECK)
        sent = await _body(request, tuple[EntrySent, ...])
        if len(sent) > ENTRIES_MAX:
            raise _refused(web.HTTPRequestEntityTooLarge, "too_many_entries")
        answers, now_ms = [], self._clock.now_ms()
        for one in sent:
            entry = Entry(**msgspec.structs.asdict(one), person_id=session.person_id, role=session.role)
            if entry.at_ms > now_ms:  # the phone's clock may be a little ahead, and nobody acts in the future
                entry = msgspec.structs.replace(entry, at_ms=now_ms)
            if entry.role is Role.INSPECTOR and entry.at_ms < now_ms - ENTRY_AGE_MAX_MS:
                outcome = CaseOutcome.WRONG_TIME
            else:
                outcome = await self._desk.append(entry, self._rules)
            self._tell(entry, outcome)
            answers.append(EntryAnswer(entry_id=entry.entry_id, outcome=outcome))
        return _answer(answers)

    def _tell(self, entry: Entry, outcome: CaseOutcome) -> None:
        """Count what became of an entry; the office finds in the log which one was refused."""
        self._metrics.count("inspection_entries_total", step=entry.step.value, outcome=outcome.value)
        if outcome not in _KEPT:
            _log.warning(
                "entry of a case refused",
                entry=entry.entry_id,
                case=entry.case_id,
                step=entry.step.value,
                person=entry.person_id,
                vehicle=entry.vehicle_id,
                outcome=outcome.value,
            )

    async def _facts(self, vehicle_id: str) -> VehicleFacts:
        facts = await self._desk.facts(vehicle_id, self._clock.now_ms())
        if facts is None:
            raise _refused(web.HTTPNotFound, "no_such_vehicle")
        return facts

    def _key_of(self, listed: str, facts: VehicleFacts, salt: bytes) -> str:
        return next(tap.key for tap in facts.taps if ticket_hash(tap, self._code_key, salt) == listed)

    async def _signed_in(self, request: web.Request) -> Session:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        session = None
        if scheme == "Bearer" and token:
            session = await self._desk.session(SessionToken(token), self._clock.now_ms())
        if session is None:
            raise _refused(web.HTTPUnauthorized, "signed_out")
        return session

    def _take(self, who: str, tokens: int) -> None:
        """Take tokens of ``who``, or refuse the request."""
        now_ms = self._clock.now_ms()
        left = allowance.taken(self._allowances.get(who, Allowance(at_ms=now_ms)), tokens, now_ms)
        if left is None:
            raise _refused(web.HTTPTooManyRequests, "too_often", retry_s=60)
        self._allowances[who] = left
        if len(self._allowances) > PERSONS_MAX:
            self._allowances = {
                one: kept
                for one, kept in self._allowances.items()
                if allowance.refilled(kept, now_ms).tokens < allowance.TOKENS_MAX
            }


class SaltSource(Protocol):
    """Gives 16 bytes that nobody can foresee."""

    def __call__(self) -> bytes:
        """Return new ones."""


async def _body(request: web.Request, kind: type[Sent]) -> Sent:
    raw = await request.content.read(BODY_MAX_BYTES + 1)
    if len(raw) > BODY_MAX_BYTES:
        raise _refused(web.HTTPRequestEntityTooLarge, "too_long")
    if NUL_IN_JSON in raw:
        raise _refused(web.HTTPBadRequest, "wrong_form")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise _refused(web.HTTPBadRequest, "wrong_form") from error


def _answer(value: object) -> web.Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=_encoder.encode(value), content_type="application/json", headers=headers)


def _refused(kind: type[web.HTTPException], error: str, *, retry_s: int = 0) -> web.HTTPException:
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(retry_s)} if retry_s else {})
    text = _encoder.encode(Refused(error=error, retry_s=retry_s)).decode()
    if kind is web.HTTPRequestEntityTooLarge:
        return web.HTTPRequestEntityTooLarge(
            max_size=BODY_MAX_BYTES, actual_size=BODY_MAX_BYTES + 1, text=text, content_type="application/json"
        )
    return kind(text=text, content_type="application/json", headers=headers)
