"""What must hold in every city, whatever went wrong in it."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from fare.ledger.accounts import debt, wallet
from fare.ledger.audit import Audit
from fare.ledger.billing import WALLET_KINDS, changes, post_changes
from fare.ledger.posting import Book
from fare.model import JournalKind, LocatedTap, Profile, RiderCategory, Riders
from fare.outcomes import Posting
from fare.validator.journal import START, decode, hash_after
from tests.fare.simulation.faults import FoundError
from tests.fare.simulation.oracle import Fact, fares_tiyn
from tests.fare.simulation.server import CHARGED, locate
from tests.notation.ledger import account

if TYPE_CHECKING:
    from tests.fare.simulation.world import World

PUPIL_ALONE = (Riders(category=RiderCategory("pupil"), count=1),)


def check_always(world: "World") -> None:
    """Check what holds at any moment: books that balance, and nothing charged that is not recorded."""
    book = world.tables.book
    if sum(book.balances_tiyn.values()) != 0:
        raise FoundError(f"balances sum to {sum(book.balances_tiyn.values())}")
    for code, tiyn in book.balances_tiyn.items():
        if code.startswith("wallet:") and tiyn > 0:
            raise FoundError(f"{code} is below zero by {tiyn}")
    for key in world.tables.taps:
        device_id, _, sequence = key.rpartition(":")
        if int(sequence) not in world.tables.devices[device_id].records:
            raise FoundError(f"tap {key} is charged and not recorded")


def check_end(world: "World") -> None:
    """Check all, once everything is quiet."""
    check_always(world)
    for device in world.devices:
        if device.list_went_back:
            raise FoundError(device.list_went_back)
    world.person.check()
    _check_journals(world)
    _check_chains(world)
    _check_lights(world)
    _check_money(world)
    _check_order(world)


def _check_journals(world: "World") -> None:
    """The chain of journals is whole, each sums to zero, balances follow from them, one fare counts per ride."""
    book, audit = world.tables.book, Audit()
    for page in book.pages:
        audit.take(page)
    if audit.findings or (audit.number, audit.head) != (book.number, book.head):
        raise FoundError(f"journals: {audit.findings[:3]}")
    balances: Counter[str] = Counter()
    counting: Counter[str] = Counter()
    for page in book.pages:
        if page.outcome is not Posting.POSTED:
            raise FoundError(f"journal {page.journal.key} was refused: {page.outcome}")
        for entry in page.journal.entries:
            balances[entry.account] += entry.amount_tiyn
        counting[page.journal.subject] += {JournalKind.FARE: 1, JournalKind.CORRECTION: -1}.get(page.journal.kind, 0)
    if {code: tiyn for code, tiyn in balances.items() if tiyn} != {
        code: tiyn for code, tiyn in book.balances_tiyn.items() if tiyn
    }:
        raise FoundError("balances are not those of the journals")
    if twice := [subject for subject, count in counting.items() if count not in (0, 1)]:
        raise FoundError(f"charged more than once: {twice}")


def _check_chains(world: "World") -> None:
    """What devices signed is here as one chain without gaps, and goes through every head that was acknowledged."""
    for device in world.devices:
        row = world.tables.devices[device.device_id]
        at, hashes = START, {0: START}
        for sequence in range(1, row.head.sequence + 1):
            if sequence not in row.records:
                raise FoundError(f"{device.device_id}: record {sequence} of {row.head.sequence} is missing")
            payload = row.records[sequence].payload
            record = decode(payload)
            if record is None or record.before != at or record.sequence != sequence:
                raise FoundError(f"{device.device_id}: the chain breaks at {sequence}")
            at = hashes[sequence] = hash_after(at, payload)
        if at != row.head.hash:
            raise FoundError(f"{device.device_id}: the head is not that of the chain")
        for sequence, hash_ in device.acknowledged.items():
            if hashes.get(sequence) != hash_:
                raise FoundError(f"{device.device_id}: {sequence} was acknowledged and is not here")


def _check_lights(world: "World") -> None:
    """Each light that was shown as recorded is here as it was shown; who was told "free" is not charged."""
    for device in world.devices:
        records = world.tables.devices[device.device_id].records
        told_free = set()
        for light in device.lights:
            if not light.shown.recorded:
                if not light.uncertain:
                    told_free.add((light.presented.medium_id, light.presented.read_ms))
                continue
            record = records.get(light.sequence)
            tap = record.tap if record is not None else None
            if tap is None or (tap.medium_id, tap.tapped_ms, tap.outcome, tap.shown_tiyn) != (
                *(light.presented.medium_id, light.presented.read_ms, light.shown.outcome, light.shown.price_tiyn),
            ):
                raise FoundError(
                    f"{device.device_id}:{light.sequence}: {light.shown.outcome} was shown and is not here"
                )
        for record in records.values():
            tap = record.tap
            if tap is not None and tap.outcome.rides and (tap.medium_id, tap.tapped_ms) in told_free:
                raise FoundError(f"{tap.key}: the passenger was told that the ride is free, and pays")


def _raw(world: "World") -> list[LocatedTap]:
    """Return the taps to be charged, from the records and what was decided about the quarantined ones."""
    raw, releases = [], world.tables.releases
    for device_id, row in world.tables.devices.items():
        for sequence, record in row.records.items():
            released = releases.get((device_id, sequence))
            if record.tap is None:
                continue
            if record.standing in CHARGED:
                raw.append(locate(record.tap))
            elif released is not None and released.at_ms is not None:
                raw.append(locate(msgspec.structs.replace(record.tap, tapped_ms=released.at_ms, clock_offset_ms=0)))
    return raw


def _check_money(world: "World") -> None:
    """Every tap costs what the oracle says, and wallets and debts are what top-ups and fares leave."""
    raw = _raw(world)
    if {one.tap.key: one for one in raw} != world.tables.taps:
        raise FoundError("the ledger's taps are not those of the records")
    rides = [one.ride for one in raw if one.ride is not None]
    facts = [
        Fact(one.tapped_ms, one.key, one.medium_id, one.vehicle_id, one.trip_id, one.riders == PUPIL_ALONE)
        for one in rides
    ]
    expected = fares_tiyn(facts)
    posted = world.tables.posted
    for ride in rides:
        amounts = posted[ride.key].amounts if ride.key in posted else ()
        charged_tiyn = sum(one.charged_tiyn for one in amounts)
        if charged_tiyn != expected[ride.key]:
            raise FoundError(f"ride {ride.key} costs {expected[ride.key]} and {charged_tiyn} was charged")
    balances = world.tables.book.balances_tiyn
    back = _given_back_tiyn(world, expected)
    for medium in world.media:
        if medium.kind not in WALLET_KINDS:
            continue
        fares = sum(expected[ride.key] for ride in rides if ride.medium_id == medium.medium_id)
        fares -= sum(back[ride.key] for ride in rides if ride.medium_id == medium.medium_id)
        given_up = world.tables.claims.stands.get(medium.medium_id, (0, 0))[1]
        if not 0 <= given_up <= fares:
            raise FoundError(f"medium {medium.medium_id}: {given_up} given up of fares of {fares}")
        fares -= given_up
        in_wallet, owed = -balances.get(wallet(medium.medium_id), 0), balances.get(debt(medium.medium_id), 0)
        if owed - in_wallet != fares - world.topped_tiyn.get(medium.medium_id, 0) or (owed and in_wallet) or owed < 0:
            raise FoundError(f"medium {medium.medium_id}: wallet {in_wallet}, debt {owed}, fares {fares}")


def _given_back_tiyn(world: "World", expected: Mapping[str, int]) -> Counter[str]:
    """Return what went back of each ride: never more than it costs, and as the books have it."""
    back: Counter[str] = Counter()
    for refund in world.tables.claims.refunds:
        back[refund.ride_key] += refund.amount_tiyn
    for key, tiyn in back.items():
        if not 0 <= tiyn <= expected[key]:
            raise FoundError(f"ride {key} costs {expected[key]} and {tiyn} went back")
    balances = world.tables.book.balances_tiyn
    given_up_tiyn = sum(tiyn for _, tiyn in world.tables.claims.stands.values())
    for kind, tiyn in (("refund", back.total()), ("write_off", given_up_tiyn)):
        if balances.get(account(kind), 0) != tiyn:
            raise FoundError(f"{kind}: {tiyn} stands, and the books have {balances.get(account(kind), 0)}")
    return back


def _check_order(world: "World") -> None:
    """The same taps in another order give the same bills; deriving them again changes nothing."""
    taps = [one.ride for one in _raw(world) if one.ride is not None]
    world.dice.of("order of arrival").shuffle(taps)
    for medium in world.media:
        rides = [ride for ride in taps if ride.medium_id == medium.medium_id]
        profile = world.profiles.get(medium.medium_id, Profile())
        if changes(rides, world.tables.posted, world.pricing, profile, from_ms=0):
            raise FoundError(f"medium {medium.medium_id}: bills derived again differ")
        book, posted = Book(), {}
        for count in range(1, len(rides) + 1):
            found = changes(rides[:count], posted, world.pricing, profile, from_ms=rides[count - 1].tapped_ms)
            posted |= {change.ride.key: done for change, done in post_changes(book, found, world.pricing)}
        bills = {key: one.amounts for key, one in posted.items() if one.amounts}
        here = {ride.key: world.tables.posted[ride.key].amounts for ride in rides if ride.key in world.tables.posted}
        if bills != {key: amounts for key, amounts in here.items() if amounts}:
            raise FoundError(f"medium {medium.medium_id}: another order of arrival gives other bills")
