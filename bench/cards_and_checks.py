"""How long the pure parts of media, bank-card risk and inspection take on one core of this machine.

    python bench/cards_and_checks.py [--seconds 1]

Reading a card here is the whole dialogue of six commands with an emulated card: both sides' cryptography, no air and no
reader. A real reader adds 5 to 40 ms a command; the bar is a decision within 300 ms of showing the card.
"""

import argparse
import json
import secrets
import time
from collections.abc import Callable

from fare.inspection.check_code import check_code
from fare.inspection.values import InspectionRules, KnownTap, Question, VehicleFacts
from fare.inspection.verdict import inspect, vehicle_list
from fare.media.card_emulator import EmulatedCard, personalised
from fare.media.desfire import CardApplication, CardIdentity, read_identity
from fare.media.readers.transport_card import carry
from fare.media.tokens import TokenKey, medium_id
from fare.model import MediumId, MediumKind
from fare.outcomes import TapOutcome
from fare.risk.bank_card import answered, asked, due, rode
from fare.risk.values import DAY_MS, Answered, BankCard, Reply, RiskRules, Trigger

KEY = bytes(16)
TAPS = 120  # of a full bus


def card_reader() -> Callable[[], None]:
    """Return a reading of an emulated card, authentication and all."""
    application = CardApplication(issuer="bench")
    identity = CardIdentity(issuer="bench", identifier=bytes(8))
    card = EmulatedCard(personalised(bytes(7), identity, application, KEY), secrets.token_bytes)

    def read() -> None:
        card.reset()
        dialogue = read_identity(application, KEY, secrets.token_bytes(16))
        carry(dialogue, card.answer)

    return read


def namer() -> Callable[[], None]:
    """Return the naming of one token."""
    key = TokenKey(version=1, secret=KEY)
    return lambda: void(medium_id(MediumKind.BANK_CARD, "500167891234ABCDEFGHJKLMNPQRS", key))


def day_of_a_bank_card() -> Callable[[], None]:
    """Return a day of decisions on a card first seen."""
    rules = RiskRules()

    def day() -> None:
        card = rode(BankCard(medium_id=MediumId("card")), "2026-09-21", 9_000, 0, DAY_MS, rules)
        for now_ms in (1, DAY_MS):
            request = due(card, Trigger.SCHEDULE, now_ms, rules)
            assert request is not None  # noqa: S101
            card = asked(card, request)
            card = answered(card, Reply(key=request.key, answered=Answered.APPROVED, at_ms=now_ms), rules)

    return day


def inspector() -> Callable[[], None]:
    """Return one question to the list of a full bus."""
    taps = tuple(
        KnownTap(
            medium_id=MediumId(f"{number}"),
            vehicle_id="bus",
            tapped_ms=number,
            outcome=TapOutcome.ACCEPTED,
            until_ms=DAY_MS,
        )
        for number in range(TAPS)
    )
    facts = VehicleFacts(vehicle_id="bus", taps=taps, complete_until_ms=TAPS)
    held = vehicle_list(facts, KEY, KEY, TAPS, InspectionRules(), city="bench")
    question = Question(vehicle_id="bus", code=check_code(MediumId("77"), KEY))
    return lambda: void(inspect(question, held, TAPS))


def void(_: object) -> None:
    """Drop a value."""


def microseconds(one: Callable[[], None], seconds: float) -> float:
    """Return the processor time of ``one``, the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        began_s, count = time.process_time(), 0
        while time.process_time() - began_s < seconds / 3:
            for _ in range(20):
                one()
            count += 20
        best = min(best, (time.process_time() - began_s) / count)
    return best * 1e6


def main() -> None:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each figure")
    seconds = parser.parse_args().seconds
    figures = {
        "read a transport card, both sides": microseconds(card_reader(), seconds),
        "name a bank card by its token": microseconds(namer(), seconds),
        "a bank card's day: ride, verification, charge": microseconds(day_of_a_bank_card(), seconds),
        f"an inspector's question to a list of {TAPS} taps": microseconds(inspector(), seconds),
    }
    for name, figure in figures.items():
        print(f"{name:<52}{figure:>9.1f} µs of one core")
    print(json.dumps({name: round(figure, 2) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
