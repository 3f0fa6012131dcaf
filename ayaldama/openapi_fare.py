"""What the fare role's API answers: books for accountants, trip history for passengers, inspection."""

from typing import Final

from ayaldama.health import Readiness
from ayaldama.openapi import Operation
from fare.api.accounting_acts import AmnestySent, DecisionSent
from fare.api.accounting_top_ups import TopUpsLookedFor, TopUpsShown
from fare.api.accounting_values import (
    AccountShown,
    ActsShown,
    BalanceShown,
    ComparisonListed,
    DayClosed,
    Decided,
    JourneysShown,
    ReportShown,
    StatementListed,
)
from fare.api.claims import DisputeSent, StepSent
from fare.api.history import CodeSent, HistoryOpened, HistoryShown
from fare.api.inspection import EntryAnswer, EntrySent, ShownSent, SignIn
from fare.api.signed_in import Me, SignInSent
from fare.inspection.session import Session
from fare.inspection.values import Question, VehicleList, Verdict
from fare.refund_service import RefundAsked
from fare.settlement.disputes import Dispute
from fare.settlement.reconcile import Reconciled
from fare.store.postgres_desk import AmnestyListed, DebtListed, RefundListed
from fare.top_up_desk import TopUpBackAsked
from fare.write_off_desk import WriteOffAsked, WriteOffListed

_SIGNED_OUT: Final = (
    (401, "Nobody is signed in"),
    (403, "Another role's or carrier's; it is noted"),
    (429, "Too often"),
)
_WRONG: Final = (400, "The body has another form, or a value is out of its rule")
_DAY: Final = ("day", "Service day, YYYY-MM-DD")
_CARRIER: Final = ("carrier", "agency_id of the GTFS feed")
_REFUSED: Final = (401, "Wrong, and not said what of it")

_BOOKS: Final = (
    Operation(
        method="POST",
        path="/api/books/sign-in",
        summary="Sign in with name, password and, where the account has one, a code; the session is a cookie",
        body=SignInSent,
        answer=Me,
        failures=(_WRONG, _REFUSED, (429, "Too many tries")),
    ),
    Operation(method="POST", path="/api/books/sign-out", summary="End the session", answer=None, failures=_SIGNED_OUT),
    Operation(path="/api/books/me", summary="Who is signed in, and may do what", answer=Me, failures=_SIGNED_OUT),
    Operation(
        path="/api/books/balance",
        summary="The trial balance; it sums to zero",
        answer=BalanceShown,
        failures=_SIGNED_OUT,
    ),
    Operation(
        path="/api/books/accounts/{account}",
        summary="The latest moves of an account; to read one of a passenger is noted",
        answer=AccountShown,
        parameters=(("account", "Code of the chart, such as `carrier:k1`"),),
        failures=(*_SIGNED_OUT, (404, "The chart has no such account")),
    ),
    Operation(
        path="/api/books/statements",
        summary="What carriers are owed, by day",
        answer=list[StatementListed],
        parameters=(("from", "First service day"), ("until", "Last service day, at most 92 later")),
        failures=((400, "The days are none, or too many"), *_SIGNED_OUT),
    ),
    Operation(
        path="/api/books/statements/{day}/{carrier}/{part}/{file}",
        summary="A statement as a file",
        answer=None,
        content_type="application/octet-stream",
        parameters=(
            _DAY,
            _CARRIER,
            ("part", "Part of the day's settlement"),
            ("file", "`statement.csv`, `statement.kk.pdf` …"),
        ),
        failures=(*_SIGNED_OUT, (404, "No such statement")),
    ),
    Operation(
        path="/api/books/rides/{day}/{carrier}/fare_transactions.csv",
        summary="Rides of a carrier and day (TIDES); media are named alike within one file and in no other",
        answer=None,
        content_type="text/csv",
        parameters=(_DAY, _CARRIER),
        failures=_SIGNED_OUT,
    ),
    Operation(
        path="/api/books/reports/{day}/{by}",
        summary="Rides and revenue of a day by one dimension",
        answer=ReportShown,
        parameters=(_DAY, ("by", "Dimension, such as `route` or `hour`")),
        failures=(*_SIGNED_OUT, (404, "No such dimension")),
    ),
    Operation(
        path="/api/books/journeys/{day}",
        summary="Origins and destinations of a day; pairs with few riders are only counted",
        answer=JourneysShown,
        parameters=(_DAY,),
        failures=_SIGNED_OUT,
    ),
    Operation(path="/api/books/refunds", summary="Refunds", answer=list[RefundListed], failures=_SIGNED_OUT),
    Operation(path="/api/books/amnesties", summary="Amnesties", answer=list[AmnestyListed], failures=_SIGNED_OUT),
    Operation(
        path="/api/books/comparisons",
        summary="Comparisons with files of acquirers and operators",
        answer=list[ComparisonListed],
        failures=_SIGNED_OUT,
    ),
    Operation(
        path="/api/books/comparisons/{number}",
        summary="What one comparison found, by reference",
        answer=list[Reconciled],
        parameters=(("number", "Number of the comparison"),),
        failures=(*_SIGNED_OUT, (404, "The number is none")),
    ),
    Operation(path="/api/books/acts", summary="Who did what, latest first", answer=ActsShown, failures=_SIGNED_OUT),
    Operation(
        method="POST",
        path="/api/books/days/{day}/close",
        summary="Close a service day: statements are made and posted",
        answer=DayClosed,
        parameters=(_DAY,),
        failures=_SIGNED_OUT,
    ),
    Operation(
        method="POST",
        path="/api/books/days/{day}/{carrier}/pay-out",
        summary="Note that a carrier was paid for a day",
        answer=Decided,
        parameters=(_DAY, _CARRIER),
        failures=(*_SIGNED_OUT, (404, "Nothing is owed")),
    ),
    Operation(
        method="POST",
        path="/api/books/refunds",
        summary="Ask for a refund; the same key is the same refund",
        body=RefundAsked,
        answer=Decided,
        failures=(_WRONG, *_SIGNED_OUT),
    ),
    Operation(
        method="POST",
        path="/api/books/refunds/decision",
        summary="Grant or refuse a refund; not who asked for it",
        body=DecisionSent,
        answer=Decided,
        parameters=(("key", "Of the refund"),),
        failures=(_WRONG, *_SIGNED_OUT),
    ),
    Operation(
        method="POST",
        path="/api/books/amnesties",
        summary="Ask that rides of some vehicles or lines within some time cost nothing",
        body=AmnestySent,
        answer=Decided,
        failures=(_WRONG, *_SIGNED_OUT),
    ),
    Operation(
        method="POST",
        path="/api/books/amnesties/decision",
        summary="Grant or refuse an amnesty; not who asked for it",
        body=DecisionSent,
        answer=Decided,
        parameters=(("id", "Of the amnesty"),),
        failures=(_WRONG, *_SIGNED_OUT),
    ),
)
_CLAIMS: Final = (
    Operation(path="/api/books/disputes", summary="Disputed rides", answer=list[Dispute], failures=_SIGNED_OUT),
    Operation(
        method="POST",
        path="/api/books/disputes",
        summary="Open a dispute about a ride; the same id is the same dispute",
        body=DisputeSent,
        answer=Decided,
        failures=(_WRONG, *_SIGNED_OUT),
    ),
    Operation(
        method="POST",
        path="/api/books/disputes/step",
        summary="Answer, decide, withdraw or appeal a dispute; an accepted one is refunded",
        body=StepSent,
        answer=Decided,
        parameters=(("id", "Of the dispute"),),
        failures=(_WRONG, *_SIGNED_OUT, (404, "No such dispute")),
    ),
    Operation(
        path="/api/books/debts", summary="The largest debts of media", answer=list[DebtListed], failures=_SIGNED_OUT
    ),
    Operation(
        method="POST",
        path="/api/books/write-offs",
        summary="Give up a debt, wholly or in part; the same key gives it up once",
        body=WriteOffAsked,
        answer=Decided,
        failures=(_WRONG, *_SIGNED_OUT, (409, "So much is not owed, or the key is of another write-off")),
    ),
    Operation(
        path="/api/books/write-offs",
        summary="Debts that were given up, those that wait for a second person first",
        answer=list[WriteOffListed],
        failures=_SIGNED_OUT,
    ),
    Operation(
        method="POST",
        path="/api/books/write-offs/decision",
        summary="Grant or refuse to give up a debt; not who asked for it",
        body=DecisionSent,
        answer=Decided,
        parameters=(("key", "Of the write-off"),),
        failures=(_WRONG, *_SIGNED_OUT),
    ),
)
_TOP_UPS: Final = (
    Operation(
        method="POST",
        path="/api/books/top-ups",
        summary="Top-ups by number or telephone, or the latest; and what was asked back of any",
        body=TopUpsLookedFor,
        answer=TopUpsShown,
        failures=(_WRONG, *_SIGNED_OUT),
    ),
    Operation(
        method="POST",
        path="/api/books/top-up-refunds",
        summary="Give unused money of a top-up back; the same key is the same refund",
        body=TopUpBackAsked,
        answer=Decided,
        failures=(_WRONG, *_SIGNED_OUT),
    ),
    Operation(
        method="POST",
        path="/api/books/top-up-refunds/decision",
        summary="Grant or refuse to give a top-up back; not who asked for it",
        body=DecisionSent,
        answer=Decided,
        parameters=(("key", "Of the refund"),),
        failures=(_WRONG, *_SIGNED_OUT),
    ),
)
_HISTORY: Final = (
    Operation(
        method="POST",
        path="/api/history",
        summary="Open the history of a medium with the code that a validator has just shown",
        body=CodeSent,
        answer=HistoryOpened,
        failures=(_WRONG, (403, "No such code, or it is over"), (429, "Too many tries")),
    ),
    Operation(
        path="/api/history",
        summary="The rides of the medium whose token is sent as `Authorization: Bearer`",
        answer=HistoryShown,
        failures=((401, "The medium must be presented again"),),
    ),
)
_INSPECTION: Final = (
    Operation(
        method="POST",
        path="/api/inspection/sign-in",
        summary="Sign an inspector in; the token goes into `Authorization: Bearer`",
        body=SignIn,
        answer=Session,
        failures=(_WRONG, _REFUSED, (429, "Too many tries")),
    ),
    Operation(
        path="/api/inspection/vehicles/{vehicle_id}",
        summary="All that answers for one vehicle without a connection; names no medium",
        answer=VehicleList,
        parameters=(("vehicle_id", "Id of the vehicle"),),
        failures=((401, "Nobody is signed in"), (404, "No such vehicle"), (429, "Too often")),
    ),
    Operation(
        method="POST",
        path="/api/inspection/checks",
        summary="Whether who shows a code may ride on a vehicle now; asking changes nothing",
        body=Question,
        answer=Verdict,
        failures=(_WRONG, (401, "Nobody is signed in"), (404, "No such vehicle"), (429, "Too often")),
    ),
    Operation(
        method="POST",
        path="/api/inspection/shown",
        summary="What an inspector was shown without a connection and found paid, so that it counts; answers nothing",
        body=list[ShownSent],
        answer=None,
        failures=(_WRONG, (401, "Nobody is signed in"), (413, "Too many at once"), (429, "Too often")),
    ),
    Operation(
        method="POST",
        path="/api/inspection/entries",
        summary="Append warnings, protocols and their sequels, written offline or now",
        body=list[EntrySent],
        answer=list[EntryAnswer],
        failures=(_WRONG, (401, "Nobody is signed in"), (413, "Too many at once"), (429, "Too often")),
    ),
)

OPERATIONS: Final = (
    *_BOOKS,
    *_CLAIMS,
    *_TOP_UPS,
    *_HISTORY,
    *_INSPECTION,
    Operation(
        path="/readyz",
        summary="Whether fares are taken: database and state",
        answer=Readiness,
        failures=((503, "Something is not well; the same body says what"),),
    ),
)
