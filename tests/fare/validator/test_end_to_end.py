"""The program in the bus against a real server: enrolled, cut off, killed, and still every tap is taken once."""

from pathlib import Path

import aiohttp
import asyncpg
import pytest

from fare.outcomes import TapOutcome
from fare.validator.drawer import CARDS
from tests.fare.validator.city import City, city_of
from tests.fare.validator.device import Device, ayaldama, screen

IDS = {card.name: card.medium_id for card in CARDS}


async def enrolled(city: City, folder: Path) -> None:
    status, out, err = await ayaldama(folder, "validator", "enrol", str(await city.code()), "--server", city.url)
    assert (status, out) == (0, "v-1 of kzo, on vehicle bus-7\n"), err


async def test_taps_survive_a_network_cut_and_kill_9_and_are_taken_once(postgres: asyncpg.Pool, tmp_path: Path) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        await enrolled(city, tmp_path)
        device = Device(tmp_path)
        await device.start()
        seen = await screen(device, session)
        await seen.next("status", state="in_service", online=True)
        city.balances[IDS["adult"]] = 90_000
        first = await seen.hold("adult")
        assert (first["green"], first["outcome"], first["price_tiyn"], first["recorded"]) == (
            True, "accepted", 10_000, True,
        )  # fmt: skip
        await seen.next("status", waiting=0)
        again = await seen.hold("adult")
        assert (again["outcome"], again["balance_tiyn"]) == ("already_paid", 90_000)
        await seen.next("status", waiting=0)

    async with aiohttp.ClientSession() as session:  # the server is gone
        seen = await screen(device, session)
        offline = [await seen.hold(name) for name in ("pupil", "denied", "foreign")]
        assert [one["outcome"] for one in offline] == ["accepted", "refused_denied", "refused_unknown"]
        assert (await seen.hold("pensioner", torn=True))["outcome"] == "torn"
        await seen.next("status", online=False, waiting=4)
        await device.kill()

    async with aiohttp.ClientSession() as session:
        await device.start()
        seen = await screen(device, session)
        assert (await seen.hold("pupil"))["outcome"] == "already_paid", "a restart forgets nobody who paid"
        await device.kill()
        await device.start()
        async with city.served():
            seen = await screen(device, session)
            await seen.next("status", online=True, waiting=0)
            assert await device.stop() == 0
            taps = {tap.sequence: tap for tap in city.taps}
            assert len(taps) == len(city.taps) == 7, "once each"
            assert [tap.outcome for tap in city.taps] == [
                TapOutcome.ACCEPTED,
                TapOutcome.ALREADY_PAID,
                TapOutcome.ACCEPTED,
                TapOutcome.REFUSED_DENIED,
                TapOutcome.REFUSED_UNKNOWN,
                TapOutcome.TORN,
                TapOutcome.ALREADY_PAID,
            ]
            rides = [tap for tap in city.taps if tap.outcome.rides]
            assert [(tap.medium_id, tap.shown_tiyn, tap.tariff_version) for tap in rides] == [
                (IDS["adult"], 10_000, "2026-1"),
                (IDS["pupil"], 5_000, "2026-1"),
            ]
            (row,) = await city.store.list_devices()
            assert (row.waiting, row.stopped, row.vehicle_id) == (0, False, "bus-7")
            stored = await postgres.fetchval("SELECT count(*) FROM validator_record")
            assert stored == row.sequence, "taps and notes, without a gap"


async def test_a_code_works_once_and_only_for_its_own_city(postgres: asyncpg.Pool, tmp_path: Path) -> None:
    async with city_of(postgres) as city:
        code = await city.code()
        status, _, err = await ayaldama(tmp_path / "a", "validator", "enrol", "abc", "--server", city.url)
        assert (status, err) == (1, "ayaldama: a code has 28 letters and digits, this one 3\n")
        of_another_city = str(code)[:-4] + "aaaa"
        status, _, err = await ayaldama(tmp_path / "a", "validator", "enrol", of_another_city, "--server", city.url)
        assert (status, "is not the city that made this code" in err) == (1, True)
        status, *_ = await ayaldama(tmp_path / "a", "validator", "enrol", str(code), "--server", city.url)
        assert status == 0, "asked again, by the same device"
        status, _, err = await ayaldama(tmp_path / "b", "validator", "enrol", str(code), "--server", city.url)
        assert (status, err) == (1, "ayaldama: the code was used by another device: ask for a new one\n")
        status, _, err = await ayaldama(tmp_path / "b", "validator", "--emulate")
        assert (status, "this device is not enrolled" in err) == (1, True)


async def test_nobody_there_is_said_and_the_code_stays_good(tmp_path: Path) -> None:
    code = "aaaa-bbbb-cccc-dddd-eeee-ffff-gggg"
    status, _, err = await ayaldama(tmp_path, "validator", "enrol", code, "--server", "http://127.0.0.1:9")
    assert status == 69
    assert err.startswith("ayaldama: not enrolled, try the same code again: /validators/enrol: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a --reader or a --scanner, or --emulate one"),
        (("--scanner", "ttyACM0"), "--scanner ttyACM0: must be an absolute path or HOST:PORT"),
        (("--reader", "transport_card"), "a --reader needs --media-keys FILE"),
        (("--emulate", "--gps", "here"), "--gps here: must be HOST:PORT"),
    ],
)
async def test_a_wrong_start_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    status, _, err = await ayaldama(tmp_path, "validator", "--port", "0", *arguments)
    assert (status, err) == (2, f"ayaldama: {said}\n")
