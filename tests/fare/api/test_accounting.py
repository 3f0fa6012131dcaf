"""Who sees and does what with money, over HTTP."""

import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from commons.texts import LANGUAGES, load_catalogue
from fare.audit_trail import Act
from fare.ledger.accounts import AccountKind
from fare.model import JournalKind, LocatedTap, MediumKind
from fare.people import Role
from fare.refund_service import Decision, RefundState
from fare.settlement.closing import Closing, Part
from fare.settlement.disputes import DisputeState, DisputeStep
from fare.settlement.reconcile import Finding
from fare.settlement.refunds import RefundOutcome
from fare.settlement.reports import Dimension
from fare.top_ups import BackOutcome, TopUpState
from tests.fare.api.books_town import PASSWORD, PEOPLE, BooksTown, books_town
from tests.fare.edges.money import DAY
from tests.fare.edges.test_topping_up import Town
from tests.notation.rides import medium, tap

WEB = Path(__file__).parents[3] / "fare" / "web" / "books"
READS = (
    "balance",
    "accounts/carrier:k1",
    f"statements?from={DAY}&until={DAY}",
    f"statements/{DAY}/k1/day/statement.csv",
    f"statements/{DAY}/k2/day/statement.csv",
    f"rides/{DAY}/k1/fare_transactions.csv",
    f"rides/{DAY}/k2/fare_transactions.csv",
    f"reports/{DAY}/line",
    f"journeys/{DAY}",
    "refunds",
    "amnesties",
    "disputes",
    "debts",
    "write-offs",
    "comparisons",
    "acts",
)
STATEMENTS = {READS[2], *READS[3:7]}
MAY_READ = {
    "aigul": set(READS) - {"acts"},
    "depot1": {READS[2], READS[3], READS[5]},
    "inspector7": set(),
    "operator1": {READS[7], READS[8], "refunds", "amnesties", "disputes"},
    "auditor1": set(READS),
}
ACTS = (
    (f"days/{DAY}/close", {}),
    (f"days/{DAY}/k1/pay-out", {}),
    ("refunds", {"key": "x", "ride_key": "v:1", "why": "?"}),
    ("refunds/decision?key=x", {"grant": True}),
    ("amnesties", {"amnesty_id": "a", "from_ms": 0, "until_ms": 1, "why": "?", "route_ids": ["1"]}),
    ("amnesties/decision?id=a", {"grant": True}),
    ("disputes", {"dispute_id": "d", "ride_key": "v:1", "claimed_tiyn": 1}),
    ("disputes/step?id=d", {"step": "answer"}),
    ("disputes/step?id=d2", {"step": "accept"}),
    ("top-ups", {}),
    ("top-up-refunds", {"key": "t", "invoice": "1", "why": "?"}),
    ("top-up-refunds/decision?key=t", {"grant": True}),
    ("write-offs", {"key": "w", "medium_id": "0" * 32, "amount_tiyn": 1, "why": "?"}),
    ("write-offs/decision?key=w", {"grant": True}),
)
MAY_ACT = {
    "aigul": {path for path, _ in ACTS},
    "operator1": {"refunds", "amnesties", "disputes", "disputes/step?id=d", "top-ups", "top-up-refunds"},
}


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> AsyncIterator[BooksTown]:
    async with books_town(postgres) as town:
        yield town


async def close(town: BooksTown) -> None:
    assert (await town.as_("aigul", f"days/{DAY}/close", {})) == (200, {"outcome": "closed", "differing": 0})


@pytest.mark.parametrize("who", MAY_READ)
async def test_attacks_46_47_each_role_reads_what_is_granted_and_nothing_else(town: BooksTown, who: str) -> None:
    await close(town)
    for path in READS:
        town.clock.city_ms += 120_000  # nobody is stopped for asking often here
        status, _ = await town.as_(who, path)
        assert (path, status) == (path, 200 if path in MAY_READ[who] else 403)


@pytest.mark.parametrize("who", [name for name, _, _ in PEOPLE if name != "bolat"])
async def test_attack_47_each_role_does_what_is_granted_and_nothing_else(town: BooksTown, who: str) -> None:
    for path, sent in ACTS:
        town.clock.city_ms += 1_000
        status, _ = await town.as_(who, path, sent)
        assert (path, status == 403) == (path, path not in MAY_ACT.get(who, set()))


async def test_nobody_who_is_not_signed_in_gets_anything(town: BooksTown) -> None:
    for path in READS:
        assert await town.ask("nobody", path) == (401, {"error": "signed_out", "retry_s": 0})
    for path, sent in ACTS:
        assert (await town.ask("nobody", path, sent))[0] == 401


async def test_attack_46_another_carriers_settlement_is_refused_alike_whether_it_exists(town: BooksTown) -> None:
    await close(town)
    _, listed = await town.as_("depot1", f"statements?from={DAY}&until={DAY}")
    assert {line["carrier_id"] for line in listed} == {"k1"}
    there = await town.as_("depot1", f"statements/{DAY}/k2/day/statement.csv")
    nowhere = await town.as_("depot1", f"statements/{DAY}/k9/day/statement.csv")
    assert there == nowhere == (403, {"error": "forbidden", "retry_s": 0})
    town.clock.city_ms += 120_000
    _, acts = await town.as_("auditor1", "acts")
    noted = [line["subject"] for line in acts["lines"] if line["act"] == "forbidden"]
    assert sum(subject.endswith(" of k2") for subject in noted) == 1
    assert acts["broken_at"] is None


async def test_a_page_of_others_cannot_act_for_who_is_signed_in(town: BooksTown) -> None:
    await town.sign_in("aigul")
    for token in ("", "x", town.tokens["aigul"][:-1]):
        status, said = await town.ask("aigul", f"days/{DAY}/close", {}, headers={"X-CSRF-Token": token})
        assert (status, said["error"]) == (403, "not_from_our_page")
    assert await town.money.settlement.statements(DAY) == []


async def test_attack_51_files_are_limited_and_noted(town: BooksTown) -> None:
    await close(town)
    statuses = [(await town.as_("auditor1", f"rides/{DAY}/k1/fare_transactions.csv"))[0] for _ in range(8)]
    assert statuses == 6 * [200] + 2 * [429]
    assert (await town.as_("aigul", f"statements/{DAY}/k1/day/statement.csv"))[0] == 200, "others are not stopped"
    town.clock.city_ms += 120_000
    _, acts = await town.as_("auditor1", "acts")
    taken = [(line["who"], line["subject"]) for line in acts["lines"] if line["act"] == "exported"]
    assert taken == [("aigul", f"k1/{DAY}-day"), *6 * [("auditor1", f"k1/{DAY}")]]


async def test_files_name_no_medium(town: BooksTown) -> None:
    _, content = await town.as_("aigul", f"rides/{DAY}/k2/fare_transactions.csv")
    lines = content.decode().splitlines()
    assert len(lines) == 3
    assert "v:2/1" in lines[2]
    assert not re.search(r"[0-9a-f]{32}", content.decode())


async def test_the_balance_is_zero_and_an_account_shows_its_moves(town: BooksTown) -> None:
    await close(town)
    _, balance = await town.as_("aigul", "balance")
    assert balance["difference_tiyn"] == 0
    assert {line["kind"] for line in balance["lines"]} >= {"carrier", "commission", "wallet"}
    _, account = await town.as_("aigul", "accounts/carrier:k1")
    assert [(line["grown_tiyn"], line["standing_tiyn"]) for line in account["lines"]] == [(197, 197)]
    assert (await town.as_("aigul", "accounts/slush:fund"))[0] == 404


async def test_who_reads_a_mediums_account_is_noted(town: BooksTown) -> None:
    await town.as_("aigul", f"accounts/wallet:{7:032x}")
    _, acts = await town.as_("auditor1", "acts")
    assert [line["who"] for line in acts["lines"] if line["act"] == Act.HISTORY_READ] == ["aigul"]


def at_stop(located: LocatedTap, stop_id: str, group: int) -> LocatedTap:
    """Return a tap at a stop, of a medium of its group of riders."""
    assert located.ride is not None
    medium_id = medium(int(located.tap.medium_id, 16) + 100 * group)
    ride = msgspec.structs.replace(located.ride, stop_id=stop_id, medium_id=medium_id)
    return LocatedTap(tap=msgspec.structs.replace(located.tap, medium_id=medium_id), ride=ride)


async def test_a_report_adds_up_and_rare_journeys_are_not_shown_apart(town: BooksTown) -> None:
    _, report = await town.as_("operator1", f"reports/{DAY}/line")
    by_line = {line["value"]: line["totals"]["revenue_tiyn"] for line in report["lines"]}
    assert by_line == {"12": 250, "5": 200}
    assert [line["name"] for line in report["lines"]] == ["12", "Сырдария"]
    assert report["total"]["revenue_tiyn"] == 450
    _, journeys = await town.as_("operator1", f"journeys/{DAY}")
    assert journeys["lines"] == []
    assert journeys["few_riders"] + journeys["unknown_riders"] == 5
    for riders, stop in ((4, "B"), (5, "C")):
        for number in range(riders):
            there, back = (
                tap(f"{stop}:{2 * number + 1}", "12:00", 20 + number),
                tap(f"{stop}:{2 * number + 2}", "18:00", 20 + number),
            )
            await town.money.ride(at_stop(there, "A", riders), at_stop(back, stop, riders))
    _, journeys = await town.as_("operator1", f"journeys/{DAY}")
    assert [(one["from_stop_id"], one["to_stop_id"], one["riders"]) for one in journeys["lines"]] == [
        ("A", "C", 5),
        ("C", "A", 5),
    ], "four could be one person's day"
    assert journeys["few_riders"] >= 8


async def test_four_eyes_above_the_limit(town: BooksTown) -> None:
    first = {"key": "a", "ride_key": "v:1", "why": "two touches"}
    assert (await town.as_("operator1", "refunds", first))[1] == {
        "outcome": "granted",
        "state": "granted",
        "amount_tiyn": 100,
    }
    _, waiting = await town.as_("aigul", "refunds", {**first, "key": "b", "ride_key": "v:2"})
    _, waiting = await town.as_("aigul", "refunds", {**first, "key": "c", "ride_key": "v:4"})
    assert waiting["state"] == "waiting"
    decision = "refunds/decision?key=c"
    assert (await town.as_("operator1", decision, {"grant": True}))[0] == 403
    assert (await town.as_("aigul", decision, {"grant": True}))[1]["outcome"] == "own"
    assert (await town.as_("bolat", decision, {"grant": True}))[1]["outcome"] == "taken"
    _, listed = await town.as_("bolat", "refunds")
    assert {one["key"]: (one["state"], one["decided_by"]) for one in listed}["c"] == ("granted", "bolat")


async def test_a_dispute_is_decided_by_another_and_what_is_accepted_goes_back_once(town: BooksTown) -> None:
    sent = {"dispute_id": "d1", "ride_key": "v:1", "claimed_tiyn": 100}
    assert (await town.as_("aigul", "disputes", sent))[1]["outcome"] == "opened"
    assert (await town.as_("aigul", "disputes", sent))[1]["outcome"] == "unknown_or_repeated"
    assert (await town.as_("aigul", "disputes/step?id=d1", {"step": "accept"}))[1]["outcome"] == "own_case"
    assert (await town.as_("operator1", "disputes/step?id=d1", {"step": "accept"}))[0] == 403
    assert (await town.as_("bolat", "disputes/step?id=d1", {"step": "reject"}))[0] == 400, "rejected without a word"
    rejected = {"step": "reject", "note": "the journal says so"}
    assert (await town.as_("bolat", "disputes/step?id=d1", rejected))[1]["outcome"] == "not_now"
    accepted = [(await town.as_("bolat", "disputes/step?id=d1", {"step": "accept"}))[1] for _ in range(2)]
    assert accepted[0] == {"outcome": "taken", "state": "granted", "amount_tiyn": 100}
    assert accepted[1] == {"outcome": "repeated", "state": "granted", "amount_tiyn": 100}
    (dispute,) = (await town.as_("operator1", "disputes"))[1]
    assert (dispute["state"], dispute["opened_by"]) == ("accepted", "aigul")
    (refund,) = (await town.as_("aigul", "refunds"))[1]
    assert (refund["ride_key"], refund["amount_tiyn"], refund["state"]) == ("v:1", 100, "granted")
    assert (await town.as_("bolat", "disputes/step?id=none", {"step": "accept"}))[0] == 404


async def test_an_unused_top_up_is_given_back_by_two_and_who_looks_for_a_telephone_is_noted(town: BooksTown) -> None:
    paying = Town(town.money.pool)
    paying.now_ms = town.clock.now_ms()
    invoice = await paying.paid(50_000)
    assert (await town.as_("operator1", "top-ups", {"of": "somebody"}))[1]["error"] == "no_number"
    found = [(await town.as_("operator1", "top-ups", {"of": of}))[1] for of in ("", invoice, "+7 701 123 45 67")]
    assert found[0] == found[1] == found[2]
    (listed,) = found[0]["top_ups"]
    assert (listed["invoice"], listed["bank"], listed["unused_tiyn"]) == (invoice, "redirect", 50_000)
    sent = {"key": "t", "invoice": invoice, "amount_tiyn": 40_000, "why": "moved away"}
    assert (await town.as_("operator1", "top-up-refunds", {**sent, "why": ""}))[0] == 400
    waiting = {"outcome": "asked", "state": "waiting", "amount_tiyn": 40_000}
    assert (await town.as_("operator1", "top-up-refunds", sent))[1] == waiting
    assert (await town.as_("operator1", "top-up-refunds", sent))[1] == waiting | {"outcome": "repeated"}
    decision = "top-up-refunds/decision?key=t"
    assert (await town.as_("operator1", decision, {"grant": True}))[0] == 403
    assert (await town.as_("auditor1", decision, {"grant": True}))[0] == 403
    assert (await town.as_("aigul", decision, {"grant": True}))[1]["outcome"] == "taken"
    assert await paying.refunds.sweep() == 1
    (asked,) = (await town.as_("aigul", "top-ups", {}))[1]["asked"]
    assert (asked["state"], asked["bank_state"], asked["decided_by"]) == ("granted", "done", "aigul")
    town.clock.city_ms += 120_000
    _, acts = await town.as_("auditor1", "acts")
    done = [(line["act"], line["who"]) for line in acts["lines"] if line["act"].startswith(("top_up", "history"))]
    assert done == [
        ("top_up_refund_decided", "aigul"),
        ("top_up_refund_asked", "operator1"),
        ("history_read", "operator1"),
    ]


async def test_a_debt_is_given_up_once_and_never_more_than_is_owed(town: BooksTown) -> None:
    await town.money.ride(tap("v:9", "11:00", 99))  # of a medium without money
    _, debts = await town.as_("auditor1", "debts")
    owed = debts[0]
    assert owed["owed_tiyn"] > 1
    why = {"why": "cannot be found"}
    part = {"key": "w1", "medium_id": owed["medium_id"], "amount_tiyn": owed["owed_tiyn"] - 1, **why}
    assert (await town.as_("aigul", "write-offs", {**part, "amount_tiyn": owed["owed_tiyn"] + 1}))[0] == 409
    for _ in range(2):
        assert (await town.as_("aigul", "write-offs", part))[1]["amount_tiyn"] == part["amount_tiyn"]
    left = {one["medium_id"]: one["owed_tiyn"] for one in (await town.as_("auditor1", "debts"))[1]}
    assert left[owed["medium_id"]] == 1
    for wrong in ({"amount_tiyn": -1}, {"why": " "}, {"key": ""}, {"key": "stands/1"}, {"medium_id": "x"}):
        assert (await town.as_("aigul", "write-offs", {**part, "key": "w2", **wrong}))[0] == 400
    assert (await town.as_("aigul", "balance"))[1]["difference_tiyn"] == 0


async def test_a_large_debt_is_given_up_by_two_and_each_step_is_noted(town: BooksTown) -> None:
    await town.money.ride(tap("v:8", "11:00", 99), tap("v:9", "13:00", 99))
    (owed,) = (await town.as_("bolat", "debts"))[1]
    sent = {"key": "w", "medium_id": owed["medium_id"], "amount_tiyn": 200, "why": "a child's card"}
    waiting = {"outcome": "taken", "state": "waiting", "amount_tiyn": 200}
    assert (await town.as_("aigul", "write-offs", sent))[1] == waiting
    assert (await town.as_("aigul", "write-offs", sent))[1] == waiting | {"outcome": "repeated"}
    assert (await town.as_("aigul", "write-offs", {**sent, "amount_tiyn": 199}))[1]["error"] == "key_reused"
    (asked,) = (await town.as_("auditor1", "write-offs"))[1]
    assert (asked["state"], asked["asked_by"], asked["why"]) == ("waiting", "aigul", "a child's card")
    decision = "write-offs/decision?key=w"
    for who, status, outcome in (("operator1", 403, None), ("auditor1", 403, None), ("aigul", 200, "own")):
        answered = await town.as_(who, decision, {"grant": True})
        assert (answered[0], answered[1].get("outcome")) == (status, outcome)
    assert await town.money.balances("write_off") == {}
    assert (await town.as_("bolat", decision, {"grant": True}))[1]["outcome"] == "taken"
    assert await town.money.balances("write_off", "debt") == {"write_off": 200}
    town.clock.city_ms += 120_000
    _, acts = await town.as_("auditor1", "acts")
    noted = [(line["act"], line["who"], line["detail"]) for line in acts["lines"] if line["act"].startswith("writ")]
    assert noted == [("write_off_decided", "bolat", "granted"), ("written_off", "aigul", "200 waiting")]


@pytest.mark.parametrize("sent", [b"{}", b"[", b'{"key": 1}', b"x" * 70_000])
async def test_what_has_no_form_is_refused(town: BooksTown, sent: bytes) -> None:
    status, _ = await town.as_("aigul", "refunds", sent.decode())
    assert status in {400, 413}


async def test_a_wrong_password_says_nothing_and_ends_soon(town: BooksTown) -> None:
    answers = [await town.ask("x", "sign-in", {"name": "aigul", "password": "wrong password"}) for _ in range(6)]
    assert [status for status, _ in answers] == 5 * [401] + [429]
    assert answers[0][1]["error"] == "wrong_name_or_password"
    assert PASSWORD not in str(answers)


def test_every_key_that_the_page_says_has_a_text() -> None:
    texts = load_catalogue("fare.settlement")["en"]
    said = set(
        itertools.chain.from_iterable(
            re.findall(r'(?:say\(|data-text=|data-label=)"([a-z_.]+)"', file.read_text(encoding="utf-8"))
            for file in (*WEB.glob("*.js"), WEB / "page.html")
        )
    )
    named = {
        "kind_of": AccountKind,
        "journal_of": JournalKind,
        "closing": Closing,
        "part": Part,
        "by": Dimension,
        "payment": MediumKind,
        "refund": RefundOutcome,
        "refund_state": RefundState,
        "back": BackOutcome,
        "top_up_state": TopUpState,
        "decision": Decision,
        "role": Role,
        "dispute_state": DisputeState,
        "step": DisputeStep,
        "step_done": DisputeStep,
        "finding_of": Finding,
        "act_of": Act,
    }
    said |= {f"{group}.{one.value}" for group, kind in named.items() for one in kind}
    assert said - texts.keys() == set()
    assert len(load_catalogue("fare.settlement")) == len(LANGUAGES)
