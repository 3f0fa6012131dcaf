"""SMPP 3.4 on the wire: bytes cut anywhere in, PDUs out, and back. No socket, no clock.

Submit and deliver, the PDUs with many fields and optional parameters, are read and written by the codec of ``smpp34``;
headers, binds and answers are here. Strings of C octets are ASCII; what is not is replaced and then fails where the
number or name is checked. Source: SMPP Protocol Specification v3.4, issue 1.2, sections 3 to 5.
"""

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import smpp34

HEADER: Final = struct.Struct(">IIII")  # command_length, command_id, command_status, sequence_number
PDU_MAX: Final = 8_192  # bytes; the longest honest one is a message_payload of some hundred
SEQUENCE_MAX: Final = 0x7FFFFFFF
RESPONSE: Final = 0x80000000  # set in the command of every answer
VERSION: Final = 0x34

ESM_UDH: Final = 0x40  # the text begins with a user data header
_ESM_TYPE: Final = 0x3C
_ESM_RECEIPT: Final = 0x04


class Command(enum.IntEnum):
    """What a PDU asks for (section 5.1.2.1); its answer has ``RESPONSE`` set."""

    BIND_RECEIVER = 0x01
    BIND_TRANSMITTER = 0x02
    SUBMIT_SM = 0x04
    DELIVER_SM = 0x05
    UNBIND = 0x06
    BIND_TRANSCEIVER = 0x09
    OUTBIND = 0x0B
    ENQUIRE_LINK = 0x15
    ALERT_NOTIFICATION = 0x102
    DATA_SM = 0x103
    GENERIC_NACK = 0x80000000


class Status(enum.IntEnum):
    """Error codes that we answer or must understand (section 5.1.3)."""

    OK = 0x00
    INVALID_MESSAGE_LENGTH = 0x01
    INVALID_COMMAND_LENGTH = 0x02
    INVALID_COMMAND = 0x03
    WRONG_BIND_STATE = 0x04
    ALREADY_BOUND = 0x05
    SYSTEM_ERROR = 0x08
    INVALID_SOURCE = 0x0A
    INVALID_DESTINATION = 0x0B
    BIND_FAILED = 0x0D
    INVALID_PASSWORD = 0x0E
    INVALID_SYSTEM_ID = 0x0F
    QUEUE_FULL = 0x14
    SUBMIT_FAILED = 0x45
    THROTTLED = 0x58
    TEMPORARY_ERROR = 0x64  # ESME_RX_T_APPN: the centre keeps the message and offers it again
    PERMANENT_ERROR = 0x65  # ESME_RX_P_APPN: the centre drops it
    REJECTED = 0x66  # ESME_RX_R_APPN


class Tag(enum.IntEnum):
    """Optional parameters that mean something here (section 5.3.2)."""

    RECEIPTED_MESSAGE_ID = 0x001E
    USER_MESSAGE_REFERENCE = 0x0204
    SAR_REFERENCE = 0x020C
    SAR_TOTAL = 0x020E
    SAR_NUMBER = 0x020F
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class PduError(Exception):
    """Bytes that are no PDU. ``status`` is what the peer is told, ``sequence`` of which PDU (0: nobody knows)."""

    def __init__(self, rule: str, *, status: Status, sequence: int = 0) -> None:
        super().__init__(f"smpp: {rule}")
        self.status, self.sequence = status, sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdu:
    """One PDU as framed: its header without the length, and what follows it."""

    command: int
    status: int = 0
    sequence: int
    body: bytes = b""

    @property
    def is_answer(self) -> bool:
        """Return whether it answers one of ours."""
        return bool(self.command & RESPONSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A number or name with its type of number and numbering plan (sections 5.2.5, 5.2.6)."""

    value: str
    ton: int = 0
    npi: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortMessage:
    """What submit_sm and deliver_sm carry. ``content`` is short_message, or message_payload where that is given."""

    source: Address
    destination: Address
    content: bytes
    esm_class: int = 0
    data_coding: int = 0
    registered_delivery: int = 0
    parameters: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def has_header(self) -> bool:
        """Return whether ``content`` begins with a user data header."""
        return bool(self.esm_class & ESM_UDH)

    @property
    def is_receipt(self) -> bool:
        """Return whether it is the centre's delivery receipt, not somebody's message (section 5.2.12)."""
        return self.esm_class & _ESM_TYPE == _ESM_RECEIPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """What a bind says: who wants in, and for which addresses."""

    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    address_range: str = ""


class Frames:
    """Cuts a stream of bytes into PDUs. After a ``PduError`` the stream is lost: lengths cannot be trusted again."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, chunk: bytes) -> list[Pdu]:
        """Return the PDUs that ``chunk`` completes.

        Raises:
            PduError: if a length is below a header's or above ``PDU_MAX``.
        """
        self._kept += chunk
        pdus = []
        while len(self._kept) >= HEADER.size:
            length, command, status, sequence = HEADER.unpack_from(self._kept)
            if not HEADER.size <= length <= PDU_MAX:
                raise PduError(f"command_length {length}", status=Status.INVALID_COMMAND_LENGTH, sequence=sequence)
            if len(self._kept) < length:
                break
            body = bytes(self._kept[HEADER.size : length])
            pdus.append(Pdu(command=command, status=status, sequence=sequence, body=body))
            del self._kept[:length]
        return pdus


def encode(pdu: Pdu) -> bytes:
    """Return ``pdu`` as it goes over the wire."""
    return HEADER.pack(HEADER.size + len(pdu.body), pdu.command, pdu.status, pdu.sequence) + pdu.body


def answer(asked: Pdu, status: Status = Status.OK, body: bytes = b"") -> Pdu:
    """Return the answer to ``asked``; one that failed has no body."""
    body = body if status is Status.OK else b""
    return Pdu(command=asked.command | RESPONSE, status=status, sequence=asked.sequence, body=body)


def c_string(text: str) -> bytes:
    """Return ``text`` as a C octet string.

    Raises:
        ValueError: if it is not ASCII or holds a NUL.
    """
    if "\0" in text or not text.isascii():
        raise ValueError(f"smpp: C octet string must be ASCII without NUL: {text!r}")
    return text.encode() + b"\0"


def read_c_string(body: bytes, at: int = 0, *, octets_max: int = 65) -> tuple[str, int]:
    """Return the C octet string at ``at`` and where the next field begins.

    Raises:
        PduError: if no NUL ends it within ``octets_max``.
    """
    end = body.find(b"\0", at, at + octets_max)
    if end < 0:
        raise PduError(f"C octet string at {at} does not end", status=Status.INVALID_COMMAND_LENGTH)
    return body[at:end].decode("ascii", "replace"), end + 1


def bind_body(bind: Bind) -> bytes:
    """Return the body of a bind (section 4.1).

    Raises:
        ValueError: if a name is longer than its field or not ASCII.
    """
    fields = (("system_id", bind.system_id, 15), ("system_type", bind.system_type, 12), ("password", bind.password, 8))
    for name, value, most in fields:
        # Passwords above eight octets are against the specification, and centres ask for them all the same.
        if len(value) > (most if name != "password" else 32):
            raise ValueError(f"smpp: {name} must not be longer than {most} characters")
    return b"".join(
        (
            c_string(bind.system_id),
            c_string(bind.password),
            c_string(bind.system_type),
            bytes((VERSION, 0, 0)),
            c_string(bind.address_range),
        )
    )


def read_bind(body: bytes) -> Bind:
    """Return what the body of a bind says.

    Raises:
        PduError: if it is cut off.
    """
    system_id, at = read_c_string(body)
    password, at = read_c_string(body, at)
    system_type, at = read_c_string(body, at)
    address_range, _ = read_c_string(body, at + 3)
    return Bind(system_id=system_id, password=password, system_type=system_type, address_range=address_range)


def message_pdu(command: Command, message: ShortMessage, sequence: int) -> bytes:
    """Return ``message`` as a submit_sm or deliver_sm.

    Raises:
        ValueError: if ``content`` is longer than 254 octets.
    """
    kind = smpp34.SubmitSm if command is Command.SUBMIT_SM else smpp34.DeliverSm
    return kind(
        message.source.value,
        message.destination.value,
        message.content,
        source_addr_ton=message.source.ton,
        source_addr_npi=message.source.npi,
        dest_addr_ton=message.destination.ton,
        dest_addr_npi=message.destination.npi,
        esm_class=message.esm_class,
        data_coding=message.data_coding,
        registered_delivery=message.registered_delivery,
        tlvs=[smpp34.Tlv(tag, value) for tag, value in message.parameters.items()],
        sequence_number=sequence,
    ).encode()


def read_message(pdu: Pdu) -> ShortMessage:
    """Return what a submit_sm or deliver_sm carries. Of a parameter given twice the first counts.

    Raises:
        PduError: if it does not hold what section 4.4.1 or 4.6.1 says.
    """
    try:
        read = smpp34.decode(encode(pdu))
    except smpp34.SmppError as error:
        raise PduError(str(error), status=Status.INVALID_MESSAGE_LENGTH, sequence=pdu.sequence) from error
    if isinstance(read, smpp34.RawPdu):
        raise PduError(f"command {pdu.command:#x}", status=Status.INVALID_COMMAND, sequence=pdu.sequence)
    parameters: dict[int, bytes] = {}
    for tlv in read.tlvs:
        parameters.setdefault(tlv.tag, bytes(tlv.value))
    return ShortMessage(
        source=Address(value=read.source_addr, ton=read.source_addr_ton, npi=read.source_addr_npi),
        destination=Address(value=read.destination_addr, ton=read.dest_addr_ton, npi=read.dest_addr_npi),
        content=bytes(read.short_message) or parameters.get(Tag.MESSAGE_PAYLOAD, b""),
        esm_class=read.esm_class,
        data_coding=read.data_coding,
        registered_delivery=read.registered_delivery,
        parameters=parameters,
    )
