"""How long a validator takes to verify and decide about a phone's code, beside a bare Ed25519 verification.

    python bench/qr.py [--seconds 1] [--phones 100000]

The bar is 5 ms. The list of keys is as long as a city's; loading it is what a validator does once at its start.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fare.media._base import Proof
from fare.model import MediumId, MediumKind
from fare.phone.own_qr import PhoneKey, listed, own_code, read_own_code
from fare.validator.codes import presented_of
from fare.validator.decide import Holdings, Place, decide
from fare.validator.deny_list import (
    TokenList,
    apply,
    build_list,
    build_list_of_values,
    diff,
    read_snapshot,
    snapshot_of,
)
from fare.validator.recent import RecentTaps
from fare.validator.rules import ADULT, Configuration, FarePeriod, FareTable, KindRules, Price

CITY = "bench"
NOW_MS = 1_790_000_000_000
CODES = 200  # shown in turn, each by another phone


def median_and_worst_ms(call: Callable[[], object], seconds: float) -> dict[str, float]:
    """Return p50 and p99 of ``call``, one after the other, in milliseconds of this thread's time on a core."""
    took: list[int] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.thread_time_ns()
        call()
        took.append(time.thread_time_ns() - began)
    took.sort()
    return {"p50_ms": round(took[len(took) // 2] / 1e6, 3), "p99_ms": round(took[len(took) * 99 // 100] / 1e6, 3)}


def phones_of(keys: Iterable[Ed25519PrivateKey], others: int) -> TokenList:
    """Return the list of ``keys`` and as many ``others`` as a city has."""
    own = (key.public_key().public_bytes_raw() for key in keys)
    strangers = (number.to_bytes(32) for number in range(others))
    phones = (
        PhoneKey(public=public, medium_id=MediumId(f"{number:016x}" * 2), until_ms=2**41)
        for number, public in enumerate(itertools.chain(own, strangers))
    )
    return build_list_of_values(dict(map(listed, phones)))


def holdings_of(phones: TokenList) -> Holdings:
    """Return what a validator holds that takes phones."""
    price = Price(kind=MediumKind.PHONE, category=ADULT, tiyn=9_000)
    period = FarePeriod(version="1", from_ms=0, until_ms=2 * NOW_MS, prices=(price,))
    return Holdings(
        configuration=Configuration(kinds=(KindRules(kind=MediumKind.PHONE, offline_rides_max=10**9),), retap_ms=0),
        fares=FareTable(periods=(period,)),
        denied=build_list(MediumId(f"{number:016x}" * 2) for number in range(10**9, 10**9 + 100_000)),
        denied_version=1,
        denied_ms=NOW_MS,
        concessions={},
        phones=phones,
    )


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--phones", type=int, default=100_000)
    chosen = parser.parse_args()
    keys = [Ed25519PrivateKey.generate() for _ in range(CODES)]
    phones = phones_of(keys, chosen.phones)
    packed = msgspec.msgpack.encode(snapshot_of(phones))
    texts = [own_code(key, city=CITY, now_ms=NOW_MS) for key in keys]
    first = read_own_code(texts[0])
    if first is None:
        raise SystemExit("the code that was made cannot be read")
    held, place, turn = holdings_of(phones), Place(vehicle_id="bus"), itertools.cycle(texts)
    one_more = diff(phones, 1, phones_of(keys, chosen.phones + 1))
    public, signature = keys[0].public_key(), keys[0].sign(packed[:60])

    def verify() -> None:
        if presented_of(next(turn), phones, city=CITY, now_ms=NOW_MS, read_ms=NOW_MS).proof is not Proof.VERIFIED:
            raise SystemExit("a live code was refused")

    def verify_and_decide() -> None:
        presented = presented_of(next(turn), phones, city=CITY, now_ms=NOW_MS, read_ms=NOW_MS)
        if not decide(presented, held, RecentTaps(), NOW_MS, place=place).green:
            raise SystemExit("a live code did not ride")

    print(json.dumps({
        "phones": len(phones),
        "list_bytes": len(packed),
        "list_read": median_and_worst_ms(
            lambda: read_snapshot(snapshot_of(phones)), min(chosen.seconds, 1.0)
        ),
        "list_delta": median_and_worst_ms(lambda: apply(phones, 1, one_more), min(chosen.seconds, 1.0)),
        "bare_ed25519": median_and_worst_ms(lambda: public.verify(signature, packed[:60]), chosen.seconds),
        "verify": median_and_worst_ms(verify, chosen.seconds),
        "verify_and_decide": median_and_worst_ms(verify_and_decide, chosen.seconds),
        "a_strangers_code": median_and_worst_ms(
            lambda: presented_of(texts[0], build_list_of_values({}), city=CITY, now_ms=NOW_MS, read_ms=NOW_MS),
            chosen.seconds,
        ),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
