"""Top-ups by banks on a real PostgreSQL: credited once whatever is said, usable at the next tap, given back once."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import asyncpg
import msgspec
import pytest

from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from fare.gateways.postgres_top_ups import unsettled
from fare.ledger.accounts import debt, wallet
from fare.model import AccountCode, LocatedTap, MediumId
from fare.reconciliation_service import SettlementFile, compare
from fare.service import open_taps
from fare.settlement.reconcile import FileColumns, Finding
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_taps import media_in_debt
from fare.top_up_refunds import TopUpRefunds
from fare.top_ups import BackOutcome, BankName, BankState, Beginning, Heard, Invoice, TopUpRules, TopUpState
from fare.topping_up import LATE_LOOK_MS, Begun, Channels, Message, PaidIn, TopUpAsked, TopUps
from tests.fare.edges.money import profiles
from tests.fare.paper_bank import PaperBank
from tests.notation.rides import MIDNIGHT_MS, SmallTariff, medium, tap

REDIRECT, KASPI = BankName("redirect"), BankName("kaspi")
OWED_BY_BANK = AccountCode("acquirer:redirect")
RULES = TopUpRules(min_tiyn=100, max_tiyn=100_000, day_max_tiyn=150_000, open_max=3)
MINUTE_MS = 60_000
TARIFF = SmallTariff(ride_tiyn=10_000, day_tiyn=90_000)


class Town:
    """A city whose bank is of paper and whose clock stands still until a test moves it."""

    def __init__(self, pool: asyncpg.Pool, tariff: SmallTariff = TARIFF) -> None:
        self.pool, self.tariff, self.bank, self.metrics = pool, tariff, PaperBank(), Metrics()
        self.now_ms = MIDNIGHT_MS
        self.owed: dict[MediumId, int] = {}
        self.channels = Channels(
            banks={REDIRECT: self.bank},
            accounts={REDIRECT: OWED_BY_BANK, KASPI: AccountCode("bank_qr:kaspi")},
        )

    @property
    def clock(self) -> SystemClock:
        return SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=self.now_ms))

    @property
    def top_ups(self) -> TopUps:
        """A fresh one each time: nothing is remembered outside the database."""
        return TopUps(
            self.pool,
            self.channels,
            rules=RULES,
            clock=self.clock,
            metrics=self.metrics,
            new_echo=lambda: "echo",
            owing=self.hear_owing,
        )

    @property
    def refunds(self) -> TopUpRefunds:
        return TopUpRefunds(self.pool, self.channels, clock=self.clock, metrics=self.metrics)

    def hear_owing(self, owed: Mapping[MediumId, int]) -> None:
        self.owed |= owed

    async def begin(self, tiyn: int = 50_000, *, key: str = "k", number: int = 7) -> Begun:
        asked = TopUpAsked(key=key, medium_id=medium(number), bank=REDIRECT, amount_tiyn=tiyn)
        return await self.top_ups.begin(asked)

    async def begun(self, tiyn: int = 50_000, *, key: str = "k", number: int = 7) -> Invoice:
        begun = await self.begin(tiyn, key=key, number=number)
        assert begun.outcome is Beginning.BEGUN
        assert begun.top_up is not None
        return begun.top_up.invoice

    async def paid(self, tiyn: int = 50_000, *, key: str = "k", number: int = 7) -> Invoice:
        invoice = await self.begun(tiyn, key=key, number=number)
        assert await self.top_ups.heard(REDIRECT, self.bank.says(invoice)) is Heard.CREDITED
        return invoice

    async def state(self, invoice: Invoice, number: int = 7) -> TopUpState:
        found = await self.top_ups.of_medium(medium(number), invoice)
        assert found is not None
        return found.state

    async def wallet(self, number: int = 7) -> int:
        return -(await balances_tiyn(self.pool)).get(wallet(medium(number)), 0)

    async def debt(self, number: int = 7) -> int:
        return (await balances_tiyn(self.pool)).get(debt(medium(number)), 0)

    async def ride(self, name: str, at: str, number: int = 7) -> None:
        await self.take(tap(name, at, number))

    async def take(self, ride: LocatedTap) -> None:
        async with open_taps(self.pool, pricing=self.tariff, profiles=profiles) as taps:
            await taps.take([ride])

    def counted(self, name: str) -> str:
        lines = self.metrics.exposition().decode().splitlines()
        return "; ".join(line for line in lines if line.startswith(f"ayaldama_{name}{{"))


@pytest.fixture
async def town(fare_postgres: asyncpg.Pool) -> AsyncIterator[Town]:
    yield Town(fare_postgres)
    assert (await verify(fare_postgres)).findings == []


async def test_i10_a_top_up_pays_the_very_next_tap(town: Town) -> None:
    await town.paid()
    await town.ride("v:1", "08:00")
    assert (await town.wallet(), await town.debt()) == (40_000, 0)


async def test_a_top_up_pays_what_is_owed_at_once_and_leaves_the_deny_list(town: Town) -> None:
    await town.ride("v:1", "08:00")
    assert await media_in_debt(town.pool) == {medium(7): 10_000}
    await town.paid()
    assert (await town.wallet(), await town.debt()) == (40_000, 0)
    assert await media_in_debt(town.pool) == {}
    assert town.owed == {medium(7): 0}, "who keeps the deny list is told"


async def test_attack_36_a_webhook_ten_times_at_once_by_two_processes_is_one_credit(town: Town) -> None:
    invoice = await town.begun()
    word = town.bank.says(invoice)
    heard = await asyncio.gather(
        *(town.top_ups.heard(REDIRECT, word, Message(message_id=f"m{number % 3}", digest=b"d")) for number in range(10))
    )
    assert sorted(heard).count(Heard.CREDITED) == 1
    assert set(heard) == {Heard.CREDITED, Heard.REPEATED, Heard.UNCHANGED}
    assert await town.wallet() == 50_000


async def test_attack_36_a_message_id_with_another_content_is_an_alarm(town: Town) -> None:
    invoice = await town.begun()
    message = Message(message_id="m1", digest=b"one")
    await town.top_ups.heard(REDIRECT, town.bank.says(invoice, BankState.PENDING), message)
    forged = Message(message_id="m1", digest=b"other")
    assert await town.top_ups.heard(REDIRECT, town.bank.says(invoice), forged) is Heard.MESSAGE_REUSED
    assert await town.wallet() == 0


async def test_attack_36_another_amount_under_the_same_payment_is_refused_and_counted(town: Town) -> None:
    invoice = await town.begun()
    wrong = town.bank.says(invoice, amount_tiyn=500_000)
    assert await town.top_ups.heard(REDIRECT, wrong) is Heard.AMOUNT_DIFFERS
    assert 'outcome="amount_differs"' in town.counted("bank_words_total")
    assert await town.wallet() == 0
    assert await town.top_ups.heard(REDIRECT, town.bank.says(invoice, amount_tiyn=50_000)) is Heard.CREDITED


async def test_attack_36_paid_after_refunded_credits_nothing_and_refunded_after_paid_takes_it_back(town: Town) -> None:
    first, second = await town.begun(key="a"), await town.begun(key="b")
    refunded = town.bank.says(first, refunded_tiyn=50_000)
    assert await town.top_ups.heard(REDIRECT, refunded) is Heard.WENT_BACK
    assert await town.top_ups.heard(REDIRECT, town.bank.says(first)) is Heard.UNCHANGED
    assert await town.top_ups.heard(REDIRECT, town.bank.says(second)) is Heard.CREDITED
    assert await town.top_ups.heard(REDIRECT, town.bank.says(second, refunded_tiyn=50_000)) is Heard.CHARGED_BACK
    assert await town.wallet() == 0
    assert await town.state(second) is TopUpState.REFUNDED


async def test_one_payment_of_a_bank_pays_one_top_up(town: Town) -> None:
    first, second = await town.begun(key="a"), await town.begun(key="b", number=8)
    word = town.bank.says(first)
    await town.top_ups.heard(REDIRECT, word)
    stolen = msgspec.structs.replace(town.bank.says(second), operation_id=word.operation_id)
    assert await town.top_ups.heard(REDIRECT, stolen) is Heard.OPERATION_REUSED
    assert await town.wallet(8) == 0


async def test_a_word_of_another_bank_or_of_no_top_up_is_nothing(town: Town) -> None:
    invoice = await town.begun()
    assert await town.top_ups.heard(KASPI, town.bank.says(invoice)) is Heard.UNKNOWN
    for unknown in ("999999", "x", "１００００"):
        word = msgspec.structs.replace(town.bank.says(invoice), invoice=Invoice(unknown))
        assert await town.top_ups.heard(REDIRECT, word) is Heard.UNKNOWN


async def test_attack_42_a_key_is_of_one_wish(town: Town) -> None:
    begun = await asyncio.gather(*(town.begin() for _ in range(4)))
    assert len({one.top_up.invoice for one in begun if one.top_up is not None}) == 1
    assert len({intent.invoice for intent in town.bank.intents}) == 1
    assert (await town.begin(50_001)).outcome is Beginning.KEY_REUSED
    assert (await town.begin(number=8)).outcome is Beginning.BEGUN, "keys are each medium's own"


async def test_attack_46_a_top_up_is_seen_by_its_own_medium_only(town: Town) -> None:
    invoice = await town.begun()
    assert await town.top_ups.of_medium(medium(8), invoice) is None
    assert await town.top_ups.of_medium(medium(7), Invoice("999999")) is None


async def test_attack_44_limits_hold_though_two_ask_at_once(town: Town) -> None:
    begun = await asyncio.gather(*(town.begin(100_000, key=f"k{number}") for number in range(4)))
    outcomes = [one.outcome for one in begun]
    assert outcomes.count(Beginning.BEGUN) == 1
    assert outcomes.count(Beginning.TOO_MUCH_TODAY) == 3
    for tiyn in (-50_000, 0, 99):
        assert (await town.begin(tiyn, key="x")).outcome is Beginning.TOO_LITTLE
    assert (await town.begin(10**18, key="x")).outcome is Beginning.TOO_MUCH
    town.now_ms += 24 * 60 * MINUTE_MS
    assert (await town.begin(100_000, key="tomorrow")).outcome is Beginning.BEGUN


async def test_when_the_bank_loses_its_answer_the_same_wish_opens_the_same_payment(town: Town) -> None:
    town.bank.silent = 1
    silent = await town.begin()
    assert silent.outcome is Beginning.BANK_SILENT
    begun = await town.begin()
    assert begun.outcome is Beginning.BEGUN
    assert begun.opened is not None
    assert len(town.bank.payments) == 1


async def test_what_the_bank_refused_to_open_stays_refused_under_its_key(town: Town) -> None:
    town.bank.refuses = True
    assert [(await town.begin()).outcome for _ in range(2)] == [Beginning.BANK_REFUSED] * 2
    town.bank.refuses = False
    assert (await town.begin()).outcome is Beginning.BANK_REFUSED, "the rider was told so; another key begins anew"
    assert (await town.begin(key="anew")).outcome is Beginning.BEGUN


async def test_what_no_webhook_told_is_asked_for(town: Town) -> None:
    town.bank.silent = 1
    await town.begin()
    invoice = next(iter(town.bank.payments))
    town.bank.says(invoice)  # the rider paid at the bank's page all the same
    assert await town.top_ups.sweep() == 0, "not at once: webhooks are quicker as a rule"
    town.now_ms += MINUTE_MS
    town.bank.deaf = 1
    assert await town.top_ups.sweep() == 1
    assert await town.wallet() == 0
    town.now_ms += MINUTE_MS
    await town.top_ups.sweep()
    assert await town.wallet() == 50_000
    assert await town.top_ups.sweep() == 0, "it is settled"


async def test_nothing_is_given_up_while_the_bank_is_silent(town: Town) -> None:
    invoice = await town.begun()
    for _ in range(20):
        town.now_ms += 15 * MINUTE_MS
        town.bank.deaf = 1
        assert await town.top_ups.sweep() == 1
    assert await unsettled(town.pool, town.now_ms) == 1, "somebody should call the bank"
    assert await town.state(invoice) is TopUpState.PENDING
    town.bank.says(invoice)
    town.now_ms += 15 * MINUTE_MS
    await town.top_ups.sweep()
    assert await town.state(invoice) is TopUpState.CREDITED
    assert await unsettled(town.pool, town.now_ms) == 0


async def test_a_payment_that_the_bank_never_heard_of_expires(town: Town) -> None:
    town.bank.deaf = 1
    begun = await town.begin()
    assert begun.top_up is not None
    for _ in range(4):
        town.now_ms += 11 * MINUTE_MS
        await town.top_ups.sweep()
    assert await town.state(begun.top_up.invoice) is TopUpState.EXPIRED


async def test_money_that_comes_late_is_credited_though_it_was_given_up(town: Town) -> None:
    invoice = await town.begun()
    town.bank.says(invoice, BankState.EXPIRED)
    town.now_ms += 30 * MINUTE_MS
    await town.top_ups.sweep()
    assert await town.state(invoice) is TopUpState.EXPIRED
    town.bank.says(invoice)
    town.now_ms += LATE_LOOK_MS + MINUTE_MS
    assert await town.top_ups.sweep() == 1, "one more look"
    assert (await town.state(invoice), await town.wallet()) == (TopUpState.CREDITED, 50_000)


async def test_attack_43_two_top_ups_and_taps_race_on_one_wallet(town: Town) -> None:
    first, second = await town.begun(key="a"), await town.begun(key="b")
    words = [town.bank.says(first), town.bank.says(second)]
    await asyncio.gather(
        *(town.top_ups.heard(REDIRECT, word) for word in words * 3),
        *(town.ride(f"v:{number}", f"{8 + 2 * number:02d}:00") for number in range(1, 5)),
    )
    assert (await town.wallet(), await town.debt()) == (60_000, 0)


async def test_a_power_failure_between_journal_and_state_leaves_neither(town: Town) -> None:
    invoice = await town.begun()
    await town.pool.execute(
        "CREATE FUNCTION power_fails() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'power'; END $$; "
        "CREATE TRIGGER power_fails AFTER INSERT ON journal EXECUTE FUNCTION power_fails();"
    )
    with pytest.raises(asyncpg.RaiseError):
        await town.top_ups.heard(REDIRECT, town.bank.says(invoice), Message(message_id="m", digest=b"d"))
    assert await town.state(invoice) is TopUpState.PENDING
    await town.pool.execute("DROP TRIGGER power_fails ON journal")
    repeated = Message(message_id="m", digest=b"d")
    assert await town.top_ups.heard(REDIRECT, town.bank.says(invoice), repeated) is Heard.CREDITED


async def give_back(town: Town, invoice: Invoice, tiyn: int, key: str = "r", number: int = 7) -> BackOutcome:
    return await town.refunds.give_back(key=key, medium_id=medium(number), invoice=invoice, amount_tiyn=tiyn)


async def test_attack_40_unused_money_goes_back_once_and_never_more_than_was_paid(town: Town) -> None:
    invoice = await town.paid()
    answers = await asyncio.gather(*(give_back(town, invoice, 30_000, f"k{number % 2}") for number in range(6)))
    assert set(answers) <= {BackOutcome.DONE, BackOutcome.REPEATED, BackOutcome.ASKED, BackOutcome.EXCEEDS_PAID}
    assert list(town.bank.refunds_tiyn.values()) == [30_000]
    assert await town.wallet() == 20_000
    assert await give_back(town, invoice, 20_001, "more") is BackOutcome.EXCEEDS_PAID
    assert await give_back(town, invoice, 20_000, "rest") is BackOutcome.DONE
    assert (await town.wallet(), await town.state(invoice)) == (0, TopUpState.REFUNDED)


async def test_attack_40_what_was_ridden_on_does_not_go_back_to_the_payer(town: Town) -> None:
    invoice = await town.paid()
    await town.ride("v:1", "08:00")
    assert await give_back(town, invoice, 50_000) is BackOutcome.SPENT
    assert await give_back(town, invoice, 40_000) is BackOutcome.DONE
    assert await town.wallet() == 0
    assert await give_back(town, invoice, 40_000, number=8) is BackOutcome.UNKNOWN, "nobody else's"


async def test_attack_40_a_refund_beside_a_chargeback_takes_what_was_paid_and_no_more(town: Town) -> None:
    invoice = await town.paid()
    chargeback = town.bank.says(invoice, refunded_tiyn=50_000)
    await asyncio.gather(
        give_back(town, invoice, 30_000),
        *(town.top_ups.heard(REDIRECT, chargeback) for _ in range(3)),
    )
    assert (await town.wallet(), await town.debt()) == (0, 0)
    assert (await balances_tiyn(town.pool))[OWED_BY_BANK] == 0
    assert await town.state(invoice) is TopUpState.REFUNDED


async def test_what_the_bank_takes_back_after_the_ride_is_owed(town: Town) -> None:
    invoice = await town.paid()
    await town.ride("v:1", "08:00")
    await town.top_ups.heard(REDIRECT, town.bank.says(invoice, refunded_tiyn=50_000))
    assert (await town.wallet(), await town.debt()) == (0, 10_000)
    assert town.owed == {medium(7): 10_000}


async def test_a_refund_whose_answer_is_lost_is_asked_for_again_and_done_once(town: Town) -> None:
    invoice = await town.paid()
    town.bank.silent = 1
    assert await give_back(town, invoice, 30_000) is BackOutcome.ASKED
    assert await town.wallet() == 20_000, "nobody rides on it meanwhile"
    town.now_ms += MINUTE_MS
    assert await town.refunds.sweep() == 1
    assert await give_back(town, invoice, 30_000) is BackOutcome.DONE
    assert list(town.bank.refunds_tiyn.values()) == [30_000]


async def test_a_refund_that_the_bank_refuses_is_on_the_wallet_again(town: Town) -> None:
    invoice = await town.paid()
    town.bank.refuses = True
    assert await give_back(town, invoice, 30_000) is BackOutcome.BANK_REFUSED
    assert await give_back(town, invoice, 30_000) is BackOutcome.BANK_REFUSED
    assert await town.wallet() == 50_000
    assert await give_back(town, invoice, 31_000) is BackOutcome.KEY_REUSED


def pay_in(operation_id: str = "2000284500", tiyn: int = 50_000, number: int = 7) -> PaidIn:
    return PaidIn(operation_id=operation_id, medium_id=medium(number), amount_tiyn=tiyn)


async def test_attack_36_a_payment_that_the_bank_began_is_credited_once_by_its_operation(town: Town) -> None:
    heard = await asyncio.gather(*(town.top_ups.paid_in(KASPI, pay_in()) for _ in range(6)))
    assert sorted(heard) == [Heard.CREDITED, *[Heard.REPEATED] * 5]
    assert await town.wallet() == 50_000
    assert await town.top_ups.paid_in(KASPI, pay_in(tiyn=60_000)) is Heard.AMOUNT_DIFFERS
    assert await town.top_ups.paid_in(KASPI, pay_in(number=8)) is Heard.AMOUNT_DIFFERS
    assert (await town.wallet(), await town.wallet(8)) == (50_000, 0)


async def test_attack_36_one_operation_for_two_riders_at_once_is_one_credit(town: Town) -> None:
    heard = await asyncio.gather(*(town.top_ups.paid_in(KASPI, pay_in(number=number)) for number in (7, 8, 9)))
    assert heard.count(Heard.CREDITED) == 1
    assert await town.wallet() + await town.wallet(8) + await town.wallet(9) == 50_000


async def test_a_notification_credits_nothing_and_must_say_the_same_amount(town: Town) -> None:
    assert await town.top_ups.confirmed(KASPI, pay_in()) is Heard.UNKNOWN
    await town.top_ups.paid_in(KASPI, pay_in())
    assert await town.top_ups.confirmed(KASPI, pay_in()) is Heard.REPEATED
    assert await town.top_ups.confirmed(KASPI, pay_in(tiyn=500_000)) is Heard.AMOUNT_DIFFERS
    assert await town.wallet() == 50_000


async def test_a_no_to_a_payment_that_the_bank_began_stays_a_no(town: Town) -> None:
    assert await town.top_ups.paid_in(KASPI, pay_in(tiyn=100_001)) is Heard.OVER_LIMIT
    town.now_ms += 48 * 60 * MINUTE_MS
    assert await town.top_ups.paid_in(KASPI, pay_in(tiyn=100_001)) is Heard.OVER_LIMIT, "the bank has given it back"
    assert await town.top_ups.confirmed(KASPI, pay_in(tiyn=100_001)) is Heard.OVER_LIMIT


async def test_the_banks_file_joins_our_account_by_its_own_operations(town: Town) -> None:
    invoice = await town.paid()
    await town.paid(60_000, key="b", number=8)
    await give_back(town, invoice, 20_000)
    (reference,) = town.bank.refunds_tiyn
    rows = [("op-0", "500.00"), ("op-1", "600.00"), (reference, "-200.00"), ("op-77", "10.00")]
    content = "\n".join(["operation;amount", *(";".join(row) for row in rows)]).encode()
    file = SettlementFile(name="bank.csv", content=content, columns=FileColumns(reference="operation", amount="amount"))
    _, found = await compare(
        *(town.pool, OWED_BY_BANK, file, 0, MIDNIGHT_MS + 90 * MINUTE_MS), who="aigul", now_ms=MIDNIGHT_MS
    )
    assert {one.reference: one.finding for one in found} == {
        "op-0": Finding.MATCHED,
        "op-1": Finding.MATCHED,
        reference: Finding.MATCHED,
        "op-77": Finding.SETTLED_UNKNOWN,
    }


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE top_up SET amount_tiyn = amount_tiyn * 10",
        "UPDATE top_up SET medium_id = repeat('f', 32)",
        "UPDATE top_up SET credited = false, taken_tiyn = 0, state = 'pending'",
        "UPDATE top_up SET operation_id = 'op-9'",
        "DELETE FROM top_up",
    ],
)
async def test_the_database_itself_keeps_what_was_asked_and_said(town: Town, forgery: str) -> None:
    await town.paid()
    with pytest.raises(asyncpg.RaiseError):
        await town.pool.execute(forgery)
