"""Records of buses in service, kept in the transaction that stores and charges their taps.

A journal that goes on where it was, from a device that nothing is wrong with, needs no question before it is written:
how the device stood is known from its last upload, and for one that stands otherwise by now nothing is written. So a
live tap is one transaction, and waits for the disk once. The statement is ``lock_and_read`` of
``fare.store.postgres_charging``.
"""

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from fare.model import DeviceId
from fare.validator.batches import Batch, Known, Reading, Receiving, Reception, receive
from fare.validator.journal import Head

STATES_MAX: Final = 10_000  # devices, some 5 MB

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """How a device stands whose key is in force: as of its row in ``version``, another after each change whatsoever.

    ``handed``: how far the ledger has its taps.
    """

    key_id: str
    vehicle_id: str
    head: Head
    handed: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """What a batch adds to the journal of a device that stands so, with all taps until there charged."""

    device_id: DeviceId
    state: DeviceState
    reception: Reception
    now_ms: int
    address: str
    waiting: int

    def after(self, version: str) -> DeviceState:
        """Return how the device stands then."""
        head = self.reception.head
        return dataclasses.replace(self.state, head=head, handed=head.sequence, version=version)


def append_of(
    state: DeviceState, device_id: DeviceId, city: str, batch: Batch, now_ms: int, address: str, reading: Reading
) -> Append | None:
    """Return what a batch adds whose signature is right, if it goes on where the ledger is; None: it does not."""
    if not batch.first_sequence - 1 == state.head.sequence == state.handed:
        return None
    known = Known(device_id=device_id, city=city, vehicle_id=state.vehicle_id, head=state.head)
    reception = receive(batch, known, now_ms, reading)
    if reception.receipt.outcome is not Receiving.TAKEN:
        return None
    return Append(
        device_id=device_id, state=state, reception=reception, now_ms=now_ms, address=address, waiting=batch.waiting
    )


class LastStates:
    """How devices stood after their last append. It may be wrong by now: the database sees."""

    def __init__(self) -> None:
        self._states: OrderedDict[DeviceId, DeviceState] = OrderedDict()  # the last heard last

    def of(self, device_id: DeviceId, key_id: str) -> DeviceState | None:
        """Return how a device stood that had this key then."""
        state = self._states.get(device_id)
        return state if state is not None and state.key_id == key_id else None

    def note(self, append: Append, version: str | None) -> None:
        """Note that ``append`` was written, and its device's row is in ``version``; None: it was not."""
        self._states.pop(append.device_id, None)
        if version is not None:
            self._states[append.device_id] = append.after(version)
            if len(self._states) > STATES_MAX:
                self._states.popitem(last=False)


def parameters_of(appends: Sequence[Append]) -> tuple[str, str]:
    """Return ``appends`` as the function ``records_append`` of migration 0023 takes them: devices, records."""
    devices = [
        {
            "place": place,
            "device_id": one.device_id,
            "key_id": one.state.key_id,
            "version": one.state.version,
            "before": one.state.head.sequence,
            "hash_before": one.state.head.hash.hex(),
            "sequence": one.reception.head.sequence,
            "hash": one.reception.head.hash.hex(),
            "heard_ms": one.now_ms,
            "address": one.address,
            "waiting": one.waiting,
        }
        for place, one in enumerate(appends)
    ]
    records = [
        {
            "place": place,
            "device_id": one.device_id,
            "sequence": record.sequence,
            "hash": record.hash.hex(),
            "payload": record.payload.hex(),
            "standing": record.standing,
            "received_ms": one.now_ms,
        }
        for place, one in enumerate(appends)
        for record in one.reception.new
    ]
    return _encode(devices).decode(), _encode(records).decode()
