"""Documents that the city signs and validators keep: keys, configuration, fares, lists. Never back to an older one.

``shelve`` is the device's side: it takes a signed document or says why not. ``to_send`` is the server's: what a device
that holds these versions still needs, deltas of a list where they are smaller than the list. Keys are a document too:
each set names the next key before that key signs anything, and a revoked one takes what it signed with it. Pure.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from fare.validator.decide import Holdings
from fare.validator.deny_list import DENY, PHONES, SEEN, Applying, Delta, Snapshot, TokenList, apply, read_snapshot
from fare.validator.rules import Configuration, FareTable
from fare.validator.signing import Purpose, Signed, SigningKey, is_signed_by, key_id_of

DELTAS_MAX: Final = 200  # that a device keeps behind one snapshot


class DocumentKind(enum.StrEnum):
    """What a document is."""

    KEYS = enum.auto()
    CONFIGURATION = enum.auto()
    FARES = enum.auto()
    LIST = enum.auto()
    LIST_DELTA = enum.auto()


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What the city signs. ``content`` is msgpack of the kind's type. It counts from ``from_ms`` until ``until_ms``."""

    kind: DocumentKind
    name: str = ""  # of a list
    city: str
    version: int  # rises by kind and name
    made_ms: int
    from_ms: int
    until_ms: int
    content: bytes


class CityKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of the city and when it may sign."""

    public: bytes
    from_ms: int
    until_ms: int
    revoked: bool = False


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """All keys of the city: the one that signs, the next one, and those revoked."""

    keys: tuple[CityKey, ...]


class Shelving(enum.StrEnum):
    """What became of a document, in order of precedence."""

    UNKNOWN_KEY = enum.auto()
    REVOKED_KEY = enum.auto()
    KEY_NOT_IN_FORCE = enum.auto()
    BAD_SIGNATURE = enum.auto()
    MALFORMED = enum.auto()
    WRONG_CITY = enum.auto()
    EXPIRED = enum.auto()
    HELD = enum.auto()  # this very version is here
    OLDER = enum.auto()  # than one that was here: a roll-back
    WRONG_BASE = enum.auto()  # a delta for another version, or another content: a whole list is needed
    TAKEN = enum.auto()


Slot = tuple[DocumentKind, str]
Content = KeySet | Configuration | FareTable | TokenList
Kind = TypeVar("Kind")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """An envelope and when it was taken: its key had to be in force then, not at every restart."""

    taken_ms: int
    signed: Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A document in force or to come. ``parts``: what it is made of again after a restart."""

    version: int
    made_ms: int
    from_ms: int
    until_ms: int
    content: Content
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What a device holds. ``root``: the city's key learned at enrolment, which may sign the first key set.

    ``floors``: the highest version ever taken, which stays when the document itself must go.
    """

    city: str
    root: bytes
    held: Mapping[Slot, tuple[Held, ...]] = field(default_factory=dict)
    floors: Mapping[Slot, int] = field(default_factory=dict)

    def current(self, kind: DocumentKind, name: str, now_ms: int) -> Held | None:
        """Return the newest document that counts now."""
        found = [held for held in self.held.get((kind, name), ()) if held.from_ms <= now_ms < held.until_ms]
        return found[-1] if found else None

    def keys(self) -> KeySet | None:
        """Return the newest key set, None if only the root is known."""
        held = self.held.get((DocumentKind.KEYS, ""), ())
        content = held[-1].content if held else None
        return content if isinstance(content, KeySet) else None

    def public_of(self, key_id: str, now_ms: int) -> bytes | Shelving:
        """Return the city's public key of that name, or why it may not sign now."""
        keys = self.keys()
        if keys is None:
            return self.root if key_id == key_id_of(self.root) else Shelving.UNKNOWN_KEY
        key = next((key for key in keys.keys if key_id_of(key.public) == key_id), None)
        if key is None:
            return Shelving.UNKNOWN_KEY
        if key.revoked:
            return Shelving.REVOKED_KEY
        return key.public if key.from_ms <= now_ms < key.until_ms else Shelving.KEY_NOT_IN_FORCE

    def versions(self) -> tuple[tuple[DocumentKind, str, int], ...]:
        """Return the newest version of each document, to ask with for newer ones."""
        return tuple((kind, name, held[-1].version) for (kind, name), held in self.held.items() if held)


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A signed document as the server keeps it. ``base_version``: of a delta."""

    kind: DocumentKind
    name: str
    version: int
    until_ms: int
    signed: Signed
    base_version: int | None = None


_CONTENTS: Final[Mapping[DocumentKind, type]] = {
    DocumentKind.KEYS: KeySet,
    DocumentKind.CONFIGURATION: Configuration,
    DocumentKind.FARES: FareTable,
    DocumentKind.LIST: Snapshot,
    DocumentKind.LIST_DELTA: Delta,
}
_encoder: Final = msgspec.msgpack.Encoder()
_documents: Final = msgspec.msgpack.Decoder(Document)


def publish(
    content: KeySet | Configuration | FareTable | Snapshot | Delta,
    *,
    kind: DocumentKind,
    city: str,
    version: int,
    made_ms: int,
    until_ms: int,
    key: SigningKey,
    name: str = "",
    from_ms: int | None = None,
) -> Published:
    """Return ``content`` as a document signed by the city; it counts from ``made_ms`` unless ``from_ms`` says later.

    Raises:
        TypeError: if ``content`` is not what ``kind`` holds.
    """
    if not isinstance(content, _CONTENTS[kind]):
        raise TypeError(
            f"a document of kind {kind.value} holds {_CONTENTS[kind].__name__}, not {type(content).__name__}"
        )
    document = Document(
        kind=kind,
        name=name,
        city=city,
        version=version,
        made_ms=made_ms,
        from_ms=made_ms if from_ms is None else from_ms,
        until_ms=until_ms,
        content=_encoder.encode(content),
    )
    return Published(
        kind=kind,
        name=name,
        version=version,
        until_ms=until_ms,
        signed=key.sign(Purpose.DOCUMENT, _encoder.encode(document)),
        base_version=content.base_version if isinstance(content, Delta) else None,
    )


def shelve(shelf: Shelf, signed: Signed, now_ms: int) -> tuple[Shelving, Shelf]:
    """Return what became of a document and the shelf from now on: itself, unless it was taken."""
    public = shelf.public_of(signed.key_id, now_ms)
    if isinstance(public, Shelving):
        return public, shelf
    if not is_signed_by(signed, Purpose.DOCUMENT, public):
        return Shelving.BAD_SIGNATURE, shelf
    try:
        document = _documents.decode(signed.body)
        content: object = msgspec.msgpack.decode(document.content, type=_CONTENTS[document.kind])
    except (msgspec.DecodeError, ValueError):
        return Shelving.MALFORMED, shelf
    slot = _slot(document.kind, document.name)
    refused = _refused(shelf, document, slot, now_ms)
    if refused is not None:
        return refused, shelf
    made = _made(shelf, document, content, Part(taken_ms=now_ms, signed=signed))
    if isinstance(made, Shelving):
        return made, shelf
    return Shelving.TAKEN, _with(shelf, slot, made, now_ms)


def parts_of(shelf: Shelf) -> tuple[Part, ...]:
    """Return all envelopes of a shelf in an order in which ``restored`` can take them again."""
    slots = sorted(shelf.held, key=lambda slot: (slot[0] is not DocumentKind.KEYS, slot))
    parts = [part for slot in slots for held in shelf.held[slot] for part in held.parts]
    return tuple(dict.fromkeys(parts))


def restored(empty: Shelf, parts: Iterable[Part], floors: Mapping[Slot, int]) -> Shelf:
    """Return the shelf of ``parts``, each checked again as of when it was taken; ``floors`` as they were."""
    shelf = empty
    for part in parts:
        _, shelf = shelve(shelf, part.signed, part.taken_ms)
    return replace(
        shelf, floors={**floors, **{slot: max(at, floors.get(slot, 0)) for slot, at in shelf.floors.items()}}
    )


def holdings(shelf: Shelf, now_ms: int) -> Holdings | None:
    """Return what a decision needs, None if configuration, fares or deny list are missing or not in force."""
    configuration = _content(shelf.current(DocumentKind.CONFIGURATION, "", now_ms), Configuration)
    fares = _content(shelf.current(DocumentKind.FARES, "", now_ms), FareTable)
    denied = _newest(shelf, DENY)
    denied_list = _content(denied, TokenList)
    if configuration is None or fares is None or denied is None or denied_list is None:
        return None
    named = {category: _content(_newest(shelf, category), TokenList) for category in configuration.concessions}
    return Holdings(
        configuration=configuration,
        fares=fares,
        denied=denied_list,
        denied_version=denied.version,
        denied_ms=denied.made_ms,
        seen=_content(_newest(shelf, SEEN), TokenList),
        concessions=MappingProxyType({category: held for category, held in named.items() if held is not None}),
        phones=_content(_newest(shelf, PHONES), TokenList),
    )


def to_send(
    published: Sequence[Published], held: Iterable[tuple[DocumentKind, str, int]], now_ms: int
) -> tuple[Signed, ...]:
    """Return the documents that a device holding ``held`` needs, key sets first, each after what it builds on."""
    versions = {(kind, name): version for kind, name, version in held}
    slots: dict[Slot, list[Published]] = {}
    for one in published:
        if one.until_ms > now_ms:
            slots.setdefault(_slot(one.kind, one.name), []).append(one)
    wanted: list[Signed] = []
    for slot in sorted(slots, key=lambda slot: (slot[0] is not DocumentKind.KEYS, slot)):
        newer = sorted(slots[slot], key=lambda one: one.version)
        version = versions.get(slot, 0)
        chosen = _of_list(newer, version) if slot[0] is DocumentKind.LIST else _later(newer, version)
        wanted.extend(one.signed for one in chosen)
    return tuple(wanted)


def _slot(kind: DocumentKind, name: str) -> Slot:
    return (DocumentKind.LIST if kind is DocumentKind.LIST_DELTA else kind, name)


def _refused(shelf: Shelf, document: Document, slot: Slot, now_ms: int) -> Shelving | None:
    if document.city != shelf.city:
        return Shelving.WRONG_CITY
    if document.until_ms <= now_ms:
        return Shelving.EXPIRED
    floor = shelf.floors.get(slot, 0)
    held = shelf.held.get(slot, ())
    if document.version < floor:
        return Shelving.OLDER
    if document.version == floor and held and held[-1].version == floor:
        return Shelving.HELD
    return None  # the floor's own version may come again when the document itself had to go


def _made(shelf: Shelf, document: Document, content: object, part: Part) -> Held | Shelving:
    before = shelf.held.get(_slot(document.kind, document.name), ())
    made: object = content
    parts: tuple[Part, ...] = (part,)
    if isinstance(content, Snapshot):
        made = read_snapshot(content)
    elif isinstance(content, KeySet) and before:
        parts = (*before[-1].parts, part)  # each set vouches for the next
    elif isinstance(content, Delta):
        base = _content(before[-1], TokenList) if before else None
        if base is None or len(before[-1].parts) > DELTAS_MAX:
            return Shelving.WRONG_BASE
        applying, made = apply(base, before[-1].version, content)
        if applying is not Applying.APPLIED:
            return Shelving.MALFORMED if applying is Applying.MALFORMED else Shelving.WRONG_BASE
        parts = (*before[-1].parts, part)
    if not isinstance(made, KeySet | Configuration | FareTable | TokenList):
        return Shelving.MALFORMED
    return Held(
        version=document.version,
        made_ms=document.made_ms,
        from_ms=document.from_ms,
        until_ms=document.until_ms,
        content=made,
        parts=parts,
    )


def _with(shelf: Shelf, slot: Slot, made: Held, now_ms: int) -> Shelf:
    """Put ``made`` on the shelf; what it follows goes as soon as ``made`` counts."""
    before = () if made.from_ms <= now_ms or slot[0] is DocumentKind.LIST else shelf.held.get(slot, ())
    held = {**shelf.held, slot: (*before, made)}
    floors = {**shelf.floors, slot: max(made.version, shelf.floors.get(slot, 0))}
    if isinstance(made.content, KeySet):
        revoked = {key_id_of(key.public) for key in made.content.keys if key.revoked}
        held = {
            where: tuple(
                one
                for one in documents
                if isinstance(one.content, KeySet) or not any(part.signed.key_id in revoked for part in one.parts)
            )
            for where, documents in held.items()
        }
    return replace(shelf, held=held, floors=floors)


def _newest(shelf: Shelf, name: str) -> Held | None:
    """Return a list whatever its age: the rules say how old it may be."""
    held = shelf.held.get((DocumentKind.LIST, name), ())
    return held[-1] if held else None


def _content(held: Held | None, kind: type[Kind]) -> Kind | None:
    return held.content if held is not None and isinstance(held.content, kind) else None


def _later(published: Sequence[Published], version: int) -> list[Published]:
    return [one for one in published if one.version > version]


def _of_list(published: Sequence[Published], version: int) -> list[Published]:
    """Return the deltas from ``version``, or the newest snapshot and those after it: what leads further, or is less."""
    snapshots = [one for one in published if one.base_version is None]
    chains = [_deltas_from(published, version)] if version else []
    chains += [[newest, *_deltas_from(published, newest.version)] for newest in snapshots[-1:]]
    useful = [chain for chain in chains if chain and chain[-1].version > version]
    return min(useful, key=lambda chain: (-chain[-1].version, _bytes(chain)), default=[])


def _deltas_from(published: Sequence[Published], version: int) -> list[Published]:
    by_base = {one.base_version: one for one in published if one.base_version is not None}
    chain: list[Published] = []
    while version in by_base and len(chain) < DELTAS_MAX:
        chain.append(by_base[version])
        version = chain[-1].version
    return chain


def _bytes(published: Iterable[Published]) -> int:
    return sum(len(one.signed.body) for one in published)
