"""The acquirer over ISO 8583, against the host of iso8583sim in a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from commons.clock import SystemClock
from commons.metrics import Metrics
from fare.gateways.acquirer import Asked, AttemptLog, CardRequest, CardResult, KeyReusedError
from fare.gateways.iso8583 import Iso8583Acquirer, Iso8583Settings, open_acquirer
from fare.media.tokens import TokenError
from fare.model import JournalKey
from fare.risk.values import Answered, Decline, FareKind
from tests.fare.gateways.attempts import AttemptsInMemory
from tests.fare.gateways.host import Line, digits_of, running_host
from tests.patience import PATIENCE_S

APPROVED, DECLINED, UNKNOWN = Answered.APPROVED, Answered.DECLINED, Answered.UNKNOWN
BIG_TIYN = 500_000
HANGS_UP = {"match": {"mti": "0100", "amount_gt": BIG_TIYN}, "action": "close"}


def request(key: str = "window-1", amount_tiyn: int = 20_000) -> CardRequest:
    return CardRequest(
        key=JournalKey(key),
        asked=Asked.AUTHORISE,
        amount_tiyn=amount_tiyn,
        card_token="tok_7Hq2ZmA9",
        terminal_id="BUS00012",
        occurred_ms=1_789_970_700_000,
        fare_kind=FareKind.AGGREGATED,
    )


def after(original: CardRequest, asked: Asked, key: str = "later-1") -> CardRequest:
    return msgspec.structs.replace(original, key=JournalKey(key), asked=asked, original=original.key)


class Town:
    """An acquirer's client with its log, on an overheard line to the host."""

    def __init__(self, attempts: AttemptLog | None = None, *, answer_s: float = 5.0, repeat_s: float = 0.2) -> None:
        self.attempts: AttemptLog = attempts or AttemptsInMemory()
        self.line = Line()
        self.metrics = Metrics()
        self._answer_s = answer_s
        self._repeat_s = repeat_s

    @asynccontextmanager
    async def open(self, port: int) -> AsyncIterator[Iso8583Acquirer]:
        async with self.line.open(port):
            settings = Iso8583Settings(
                host="127.0.0.1",
                port=self.line.port,
                merchant_id="AYALDAMA",
                answer_s=self._answer_s,
                repeat_s=self._repeat_s,
                reconnect_s=0.05,
            )
            async with (
                asyncio.timeout(PATIENCE_S),
                open_acquirer(settings, self.attempts, SystemClock(), self.metrics) as one,
            ):
                await one.connected()
                yield one

    async def result(self, key: str, answered: Answered) -> CardResult:
        """Wait until the log says so."""
        while True:
            attempt = await self.attempts.find(JournalKey(key))
            if attempt is not None and attempt.result is not None and attempt.result.answered is answered:
                return attempt.result
            await asyncio.sleep(0.02)


@asynccontextmanager
async def town(
    folder: Path, port: int, rules: Sequence[dict[str, object]] = (), **settings: float
) -> AsyncIterator[tuple[Iso8583Acquirer, Town]]:
    there = Town(**settings)
    async with running_host(folder, rules, port), there.open(port) as acquirer:
        yield acquirer, there


async def test_an_authorised_fare_is_captured_and_refunded(tmp_path: Path, unused_port: int) -> None:
    async with town(tmp_path, unused_port) as (acquirer, there):
        authorised = await acquirer.ask(request())
        captured = await acquirer.ask(after(request(), Asked.CAPTURE, "capture-1"))
        refunded = await acquirer.ask(after(request(), Asked.REFUND, "refund-1"))
    assert [one.answered for one in (authorised, captured, refunded)] == [APPROVED] * 3
    assert authorised.approval == "A00001"
    assert there.line.types() == ["0100", "0110", "0220", "0230", "0200", "0210"]
    asked, _, capture, *_ = [message for message in there.line.said if not message["t"].startswith("08")]
    assert (asked["4"], asked["49"], asked["41"], asked["48"][:17]) == (
        "000000020000",
        "398",
        "BUS00012",
        "TK012tok_7Hq2ZmA9",
    )
    assert capture["90"][:20] == f"0100{asked['11']}{asked['7']}"
    assert capture["38"] == "A00001"
    assert all("2" not in message for message in there.line.said), "field 2 is for card numbers, which we do not have"
    assert set(digits_of(there.line.said)) <= {asked["4"]}


async def test_a_decline_says_why(tmp_path: Path, unused_port: int) -> None:
    codes = {1: "51", 2: "61", 3: "54", 4: "43", 5: "14", 6: "91", 7: "30", 8: "05"}
    rules = [{"match": {"fields": {"4": f"{amount:012d}"}}, "respond": code} for amount, code in codes.items()]
    async with town(tmp_path, unused_port, rules) as (acquirer, _):
        results = [await acquirer.ask(request(f"key-{amount}", amount)) for amount in codes]
    assert {one.answered for one in results} == {DECLINED}
    assert [one.decline for one in results] == list(Decline)
    assert [one.code for one in results] == list(codes.values())


async def test_i1_one_request_asked_fifty_times_at_once_reaches_the_acquirer_once(
    tmp_path: Path, unused_port: int
) -> None:
    async with town(tmp_path, unused_port) as (acquirer, there):
        results = await asyncio.gather(*(acquirer.ask(request()) for _ in range(50)))
        again = await acquirer.ask(request())
    assert again.answered is APPROVED
    assert {one.answered for one in results} <= {APPROVED, UNKNOWN}, "while the first is under way nobody knows"
    assert there.line.types() == ["0100", "0110"]


async def test_attack_42_a_key_that_names_another_request_is_refused(tmp_path: Path, unused_port: int) -> None:
    async with town(tmp_path, unused_port) as (acquirer, there):
        await acquirer.ask(request())
        with pytest.raises(KeyReusedError, match="window-1"):
            await acquirer.ask(request(amount_tiyn=30_000))
    assert there.line.types() == ["0100", "0110"]


async def test_without_an_answer_the_authorisation_is_reversed_and_said_again_until_answered(
    tmp_path: Path, unused_port: int
) -> None:
    rules = [{"match": {"mti": ["0100", "0400"]}, "action": "drop"}]
    async with town(tmp_path, unused_port, rules, answer_s=1.2) as (acquirer, there):
        assert (await acquirer.ask(request())).answered is UNKNOWN
        await there.result("window-1", Answered.REVERSED)
        assert (await acquirer.ask(request())).answered is Answered.REVERSED
    await there.line.heard("0100", "0400", "0401", "0411")
    asked, reversal, again, _ = [message for message in there.line.said if not message["t"].startswith("08")]
    assert reversal["90"][:20] == f"0100{asked['11']}{asked['7']}"
    assert reversal["11"] != asked["11"], "a number names one message of the day"
    assert {**again, "t": "0400"} == reversal


async def test_attack_38_an_approval_after_the_timeout_changes_nothing_and_the_reversal_wins_once(
    tmp_path: Path, unused_port: int
) -> None:
    rules = [{"match": {"mti": "0100"}, "delay_ms": 2_700}]
    async with town(tmp_path, unused_port, rules, answer_s=1.2) as (acquirer, there):
        assert (await acquirer.ask(request())).answered is UNKNOWN
        await there.line.heard("0100", "0400", "0410", "0110")
        assert (await acquirer.ask(request("window-2"))).answered is UNKNOWN, "the line is read in order"
        assert (await acquirer.ask(request())).answered is Answered.REVERSED
    assert 'ayaldama_acquirer_late_answers_total{mti="0110"}' in there.metrics.exposition().decode()
    taken_back = [message["90"][4:10] for message in there.line.said if message["t"] in {"0400", "0401"}]
    assert taken_back.count("000001") == 1


async def test_when_the_host_hangs_up_the_line_is_opened_again_and_what_was_asked_is_reversed(
    tmp_path: Path, unused_port: int
) -> None:
    async with town(tmp_path, unused_port, [HANGS_UP]) as (acquirer, there):
        assert (await acquirer.ask(request(amount_tiyn=BIG_TIYN + 1))).answered is UNKNOWN
        await there.result("window-1", Answered.REVERSED)
        assert (await acquirer.ask(request("window-2"))).answered is APPROVED
    signed_on = [message for message in there.line.said if message["t"] == "0800" and message["70"] == "001"]
    assert len(signed_on) == 2


async def test_what_was_begun_when_we_were_killed_is_reversed_after_the_restart(
    tmp_path: Path, unused_port: int
) -> None:
    attempts = AttemptsInMemory()
    await attempts.begin(request(), 1_789_970_700_000)
    there = Town(attempts)
    async with running_host(tmp_path, [], unused_port), there.open(unused_port):
        await there.result("window-1", Answered.REVERSED)
    assert there.line.types() == ["0400", "0410"]


async def test_who_asks_may_go_away_and_what_was_sent_is_reversed(tmp_path: Path, unused_port: int) -> None:
    rules = [{"match": {"mti": "0100"}, "action": "drop"}]
    async with town(tmp_path, unused_port, rules) as (acquirer, there):
        asked = asyncio.create_task(acquirer.ask(request()))
        await there.line.heard("0100")
        asked.cancel()
        await there.result("window-1", Answered.REVERSED)
    assert there.line.types() == ["0100", "0400", "0410"]


async def test_a_line_that_breaks_while_nothing_is_said_is_opened_again(tmp_path: Path, unused_port: int) -> None:
    async with town(tmp_path, unused_port) as (acquirer, there):
        there.line.cut()
        while (result := await acquirer.ask(request("window-2"))).answered is Answered.NOT_SENT:
            await acquirer.connected()
        if result.answered is UNKNOWN:  # asked before we saw that the line was cut
            await there.result("window-2", Answered.REVERSED)
        assert (await acquirer.ask(request("window-3"))).answered is APPROVED


async def test_a_capture_is_said_again_until_it_is_answered(tmp_path: Path, unused_port: int) -> None:
    rules = [{"match": {"mti": "0220"}, "action": "drop"}]
    async with town(tmp_path, unused_port, rules, answer_s=1.2) as (acquirer, there):
        await acquirer.ask(request())
        assert (await acquirer.ask(after(request(), Asked.CAPTURE))).answered is UNKNOWN
        await there.result("later-1", APPROVED)
    assert there.line.types() == ["0100", "0110", "0220", "0221", "0231"]


async def test_without_a_line_nothing_is_kept_and_nothing_happens(tmp_path: Path, unused_port: int) -> None:
    attempts = AttemptsInMemory()
    settings = Iso8583Settings(host="127.0.0.1", port=unused_port, merchant_id="AYALDAMA")
    async with open_acquirer(settings, attempts, SystemClock(), Metrics()) as acquirer:
        assert (await acquirer.ask(request())).answered is Answered.NOT_SENT
    assert attempts.kept == {}


async def test_what_is_not_known_cannot_be_captured(tmp_path: Path, unused_port: int) -> None:
    async with town(tmp_path, unused_port) as (acquirer, _):
        with pytest.raises(LookupError, match="original window-1 is not known"):
            await acquirer.ask(after(request(), Asked.CAPTURE))


async def test_attack_40_more_than_was_authorised_is_neither_captured_nor_refunded(
    tmp_path: Path, unused_port: int
) -> None:
    async with town(tmp_path, unused_port) as (acquirer, there):
        await acquirer.ask(request(amount_tiyn=20_000))
        for asked in (Asked.CAPTURE, Asked.REFUND):
            more = msgspec.structs.replace(after(request(), asked), amount_tiyn=20_001)
            with pytest.raises(ValueError, match="20001 tiyn of 20000 authorised"):
                await acquirer.ask(more)
    assert there.line.types() == ["0100", "0110"]


async def test_a_declined_ride_is_captured_only_as_a_first_ride(tmp_path: Path, unused_port: int) -> None:
    async with town(tmp_path, unused_port, [{"match": {"mti": "0100"}, "respond": "51"}]) as (acquirer, _):
        await acquirer.ask(request())
        with pytest.raises(ValueError, match="original window-1 is declined"):
            await acquirer.ask(after(request(), Asked.CAPTURE))
        first_ride = msgspec.structs.replace(after(request(), Asked.CAPTURE), fare_kind=FareKind.FIRST_RIDE_RISK)
        assert (await acquirer.ask(first_ride)).answered is APPROVED


def test_a_card_number_cannot_be_a_token() -> None:
    with pytest.raises(TokenError, match="card_number"):
        msgspec.structs.replace(request(), card_token="4111111111111111")


@pytest.mark.parametrize("asked", [Asked.CAPTURE, Asked.REFUND, Asked.REVERSE])
def test_what_follows_an_authorisation_names_it(asked: Asked) -> None:
    with pytest.raises(ValueError, match="original"):
        msgspec.structs.replace(request(), asked=asked)


def test_attack_44_no_amount_is_negative() -> None:
    with pytest.raises(ValueError, match="must not be negative: -1"):
        request(amount_tiyn=-1)
