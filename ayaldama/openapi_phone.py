"""The description of the passengers' API: what the page of ``fare/web/phone`` asks, one line each.

The session is a cookie; what changes anything is JSON and repeats the token of ``/api/phone/me`` as ``X-CSRF-Token``.
A refusal is ``{"error": KEY, "retry_s": N}``; the keys are those of ``fare/phone/texts`` below ``error``.
"""

from typing import Final

from ayaldama.health import ServersReadiness
from ayaldama.openapi import Operation
from fare.api.phone_account import CardLet, CardProved, HistoryShown, Me, RideShown
from fare.api.phone_codes import KeyRegistered, KeySent
from fare.api.phone_door import CodeSent, CodeTyped, CodeWanted, Done, SignedIn, SignOutWanted
from fare.api.phone_rides import BusesNow, QuoteShown, RideWanted, TicketShown, TicketsShown, TicketWanted
from fare.api.phone_top_ups import BanksShown, TopUpBegun, TopUpShown, TopUpWanted

_SIGNED_OUT: Final = (401, "Nobody is signed in")
_OTHER_PAGE: Final = (403, "X-CSRF-Token is missing or wrong")
_TOO_OFTEN: Final = (429, "Too often; Retry-After says when to come back")
_READING: Final = (_SIGNED_OUT, _TOO_OFTEN)
_WRITING: Final = (_SIGNED_OUT, _OTHER_PAGE, _TOO_OFTEN)
_NO_RIDE: Final = (409, "No ride: unknown bus, on no line, no money, …; nothing was written")

OPERATIONS: Final = (
    Operation(
        path="/api/phone/code",
        method="POST",
        summary="Send a one-time code to a mobile number by SMS",
        body=CodeWanted,
        answer=CodeSent,
        failures=((400, "No mobile number of this country"), (429, "Too many codes were asked for")),
    ),
    Operation(
        path="/api/phone/sign-in",
        method="POST",
        summary="Sign in with a code, in the browser that asked for it; the session is in a cookie",
        body=CodeTyped,
        answer=SignedIn,
        failures=((401, "`wrong_code`, or `code_over`: too late, used, or tried five times"),),
    ),
    Operation(
        path="/api/phone/sign-out",
        method="POST",
        summary="End this session, or all of this number",
        body=SignOutWanted,
        answer=Done,
        failures=_WRITING,
    ),
    Operation(
        path="/api/phone/forget",
        method="POST",
        summary="Remove sessions, cards and browsers of the number that a code for this proves",
        body=CodeTyped,
        answer=Done,
        failures=_WRITING,
    ),
    Operation(
        path="/api/phone/me", summary="Who is signed in: balance, rights, passes, cards", answer=Me, failures=_READING
    ),
    Operation(
        path="/api/phone/history", summary="Rides and top-ups of 60 days", answer=HistoryShown, failures=_READING
    ),
    Operation(
        path="/api/phone/rides/{key}",
        summary="The receipt of one's own ride",
        answer=RideShown,
        parameters=(("key", "Key of the ride"),),
        failures=(*_READING, (404, "No ride of one's own")),
    ),
    Operation(
        path="/api/phone/cards",
        method="POST",
        summary="Link a transport card that was held to a validator just now",
        body=CardProved,
        answer=Done,
        failures=_WRITING,
    ),
    Operation(
        path="/api/phone/cards/remove",
        method="POST",
        summary="Let a card go",
        body=CardLet,
        answer=Done,
        failures=(*_WRITING, (404, "No card of one's own")),
    ),
    Operation(
        path="/api/phone/buses", summary="Buses in service and where they are", answer=BusesNow, failures=_READING
    ),
    Operation(
        path="/api/phone/quotes",
        method="POST",
        summary="Bus, line, carrier and price of a ride; nothing is bought",
        body=RideWanted,
        answer=QuoteShown,
        failures=(*_WRITING, _NO_RIDE),
    ),
    Operation(
        path="/api/phone/tickets",
        method="POST",
        summary="Buy a ride for at most the price that was shown; the same key buys once",
        body=TicketWanted,
        answer=TicketShown,
        failures=(*_WRITING, _NO_RIDE),
    ),
    Operation(path="/api/phone/tickets", summary="Tickets that count now", answer=TicketsShown, failures=_READING),
    Operation(
        path="/api/phone/keys",
        method="POST",
        summary="Register the key of the phone's own QR",
        body=KeySent,
        answer=KeyRegistered,
        failures=(*_WRITING, (409, "Not proved, or another number's")),
    ),
    Operation(path="/api/phone/banks", summary="By which banks to top up", answer=BanksShown, failures=_READING),
    Operation(
        path="/api/phone/top-ups",
        method="POST",
        summary="Begin to top up; where to pay is answered",
        body=TopUpWanted,
        answer=TopUpBegun,
        failures=(*_WRITING, (409, "No payment was opened: limit, unknown or silent bank, …")),
    ),
    Operation(
        path="/api/phone/top-ups/{invoice}",
        summary="How one's own top-up stands",
        answer=TopUpShown,
        parameters=(("invoice", "Number of the top-up"),),
        failures=(*_READING, (404, "No top-up of one's own")),
    ),
    Operation(
        path="/readyz",
        summary="Whether rides can be paid: servers",
        answer=ServersReadiness,
        failures=((503, "Something is not well; the same body says what"),),
    ),
)
