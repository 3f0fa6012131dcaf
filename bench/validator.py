"""How long a validator takes for a tap, without a network.

    python bench/validator.py [--taps 2000]

First the pure decision with 100,000 denied media and 100,000 pupils, then the same with the journal synced to this
disk, beside the disk's own sync. What follows when stored taps are sent: ``bench/backlog.py``.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commons.clock import SystemClock
from commons.logs import configure_logs
from fare.media._base import Presented, Proof
from fare.model import DeviceId, MediumId, MediumKind, RiderCategory, Tap
from fare.outcomes import TapOutcome
from fare.validator.decide import Holdings, Place, decide
from fare.validator.deny_list import build_list
from fare.validator.disk import FolderDisk
from fare.validator.journal_file import JournalFile
from fare.validator.recent import RecentTaps
from fare.validator.rules import Configuration, FarePeriod, FareTable, KindRules, Price
from fare.validator.signing import SigningKey

CITY_KEY = SigningKey.from_bytes(b"bench city key, not a secret one")
PUPIL = RiderCategory("pupil")
ADULT = RiderCategory("adult")
LISTED = 100_000
CONNECTIONS = 32
BUS = Place(vehicle_id="bus-1")


def medium(number: int, what: str) -> MediumId:
    """Return the id of a medium of the bench."""
    return MediumId(hashlib.sha256(f"{what} {number}".encode()).hexdigest()[:32])


def holdings(now_ms: int) -> Holdings:
    """Return rules, prices and two lists of ``LISTED`` media."""
    kind = MediumKind.TRANSPORT_CARD
    prices = (Price(kind=kind, category=ADULT, tiyn=10_000), Price(kind=kind, category=PUPIL, tiyn=5_000))
    return Holdings(
        configuration=Configuration(kinds=(KindRules(kind=kind),), concessions=(PUPIL,), clash_ms=0),
        fares=FareTable(periods=(FarePeriod(version="1", from_ms=0, until_ms=now_ms * 2, prices=prices),)),
        denied=build_list(medium(number, "denied") for number in range(LISTED)),
        denied_version=1,
        denied_ms=now_ms,
        concessions={PUPIL: build_list(medium(number, "pupil") for number in range(LISTED))},
    )


def tap_of(number: int, outcome: TapOutcome, now_ms: int, shown_tiyn: int, device: str = "v-1") -> Tap:
    """Return a tap as a validator records it."""
    return Tap(
        device_id=DeviceId(device),
        sequence=number,
        tapped_ms=now_ms,
        medium_id=medium(number, "rider"),
        medium_kind=MediumKind.TRANSPORT_CARD,
        outcome=outcome,
        vehicle_id="bus-1",
        shown_tiyn=shown_tiyn,
        tariff_version="1",
        deny_list_version=1,
    )


def measure_taps(taps: int, folder: Path) -> dict[str, list[float]]:
    """Return milliseconds of each decision, of each whole tap, and of each bare sync of as many bytes."""
    now_ms = SystemClock().now_ms()
    held, recent = holdings(now_ms), RecentTaps()
    journal = JournalFile(FolderDisk(folder / "journal"), now_ms)
    bare = FolderDisk(folder / "bare")
    took: dict[str, list[float]] = {"decision": [], "decision and journal": [], "floor: sync of as many bytes": []}
    for number in range(taps):
        presented = Presented(
            kind=MediumKind.TRANSPORT_CARD, medium_id=medium(number, "rider"), read_ms=now_ms, proof=Proof.VERIFIED
        )
        began_s = time.perf_counter()
        decision = decide(presented, held, recent, now_ms, place=BUS)
        decided_s = time.perf_counter()
        journal.append_tap(tap_of(number + 1, decision.outcome, now_ms, decision.shown_tiyn))
        kept_s = time.perf_counter()
        bare.append("bare", bytes(300))
        bare.sync("bare")
        took["floor: sync of as many bytes"].append((time.perf_counter() - kept_s) * 1_000)
        took["decision"].append((decided_s - began_s) * 1_000)
        took["decision and journal"].append((kept_s - began_s) * 1_000)
        recent.remember(tap_of(number + 1, decision.outcome, now_ms, decision.shown_tiyn))
    return took


def percentiles(took_ms: Sequence[float]) -> dict[str, float]:
    """Return the middle, the 99th percentile and the longest."""
    ordered = sorted(took_ms)

    def at(share: float) -> float:
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3)

    return {"p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1)}


def main() -> int:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taps", type=int, default=2_000)
    options = parser.parse_args()
    configure_logs("bench", level="WARNING")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        print(f"tap: {LISTED:,} denied media, {LISTED:,} pupils, this disk")
        for what, took_ms in measure_taps(options.taps, folder).items():
            figures[what] = percentiles(took_ms)
            print(f"  {what:<32}" + "".join(f"{key} {value:>8.3f}  " for key, value in figures[what].items()))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
