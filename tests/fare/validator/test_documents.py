"""Signed documents: in order, in force, by the right key, never back to an older one."""

import pytest

from fare.model import MediumKind
from fare.validator.deny_list import DENY, SEEN, Snapshot, build_list, diff
from fare.validator.documents import (
    CityKey,
    DocumentKind,
    KeySet,
    Published,
    Shelf,
    Shelving,
    holdings,
    parts_of,
    publish,
    restored,
    shelve,
    to_send,
)
from fare.validator.rules import Configuration, FareTable, KindRules
from fare.validator.signing import Purpose, SigningKey
from tests.fare.validator.cards import CONFIGURATION, FARES, PUPIL, medium

ROOT = SigningKey.from_bytes(b"r" * 32)
NEXT = SigningKey.from_bytes(b"n" * 32)
OTHER = SigningKey.from_bytes(b"o" * 32)
NOW_MS = 1_789_970_400_000
DAY_MS = 86_400_000
FOREVER_MS = NOW_MS + 3_650 * DAY_MS
EMPTY = Shelf(city="kzo", root=ROOT.public)


def keys(
    version: int, *, key: SigningKey = ROOT, revoked: tuple[SigningKey, ...] = (), also: tuple[SigningKey, ...] = ()
) -> Published:
    every = (ROOT, *also)
    content = KeySet(
        keys=tuple(CityKey(public=one.public, from_ms=0, until_ms=FOREVER_MS, revoked=one in revoked) for one in every)
    )
    return publish(
        content, kind=DocumentKind.KEYS, city="kzo", version=version, made_ms=NOW_MS, until_ms=FOREVER_MS, key=key
    )


def configuration(
    version: int, *, key: SigningKey = ROOT, city: str = "kzo", until_ms: int = FOREVER_MS, from_ms: int | None = None,
    content: Configuration = CONFIGURATION,
) -> Published:  # fmt: skip
    return publish(
        content, kind=DocumentKind.CONFIGURATION, city=city, version=version, made_ms=NOW_MS, from_ms=from_ms,
        until_ms=until_ms, key=key,
    )  # fmt: skip


def listed(version: int, *names: str, name: str = DENY, key: SigningKey = ROOT, made_ms: int = NOW_MS) -> Published:
    content = Snapshot(tokens=build_list(medium(one) for one in names).packed())
    return publish(
        content, kind=DocumentKind.LIST, name=name, city="kzo", version=version, made_ms=made_ms,
        until_ms=FOREVER_MS, key=key,
    )  # fmt: skip


def change(base: int, version: int, old: tuple[str, ...], new: tuple[str, ...]) -> Published:
    delta = diff(build_list(map(medium, old)), base, build_list(map(medium, new)))
    return publish(
        delta, kind=DocumentKind.LIST_DELTA, name=DENY, city="kzo", version=version, made_ms=NOW_MS,
        until_ms=FOREVER_MS, key=ROOT,
    )  # fmt: skip


def fares(version: int) -> Published:
    return publish(
        FARES, kind=DocumentKind.FARES, city="kzo", version=version, made_ms=NOW_MS, until_ms=FOREVER_MS, key=ROOT
    )


def put(shelf: Shelf, *documents: Published, now_ms: int = NOW_MS) -> Shelf:
    for one in documents:
        outcome, shelf = shelve(shelf, one.signed, now_ms)
        assert outcome is Shelving.TAKEN
    return shelf


def outcome(shelf: Shelf, document: Published, now_ms: int = NOW_MS) -> Shelving:
    said, after = shelve(shelf, document.signed, now_ms)
    assert (after is shelf) == (said is not Shelving.TAKEN), "refused: nothing changes"
    return said


def denied(shelf: Shelf) -> set[str]:
    held = holdings(put(shelf, configuration(9), fares(9)), NOW_MS)
    assert held is not None
    return {name for name in ("ann", "bob", "eve") if medium(name) in held.denied}


def test_a_device_decides_once_it_holds_configuration_fares_and_deny_list() -> None:
    shelf = put(EMPTY, configuration(1), fares(1))
    assert holdings(shelf, NOW_MS) is None
    held = holdings(put(shelf, listed(1, "eve"), listed(4, "kid", name=PUPIL), listed(1, "ann", name=SEEN)), NOW_MS)
    assert held is not None
    assert (held.denied_version, held.denied_ms, set(held.concessions)) == (1, NOW_MS, {PUPIL})
    assert held.seen is not None
    assert medium("ann") in held.seen


def test_attack_10_no_document_goes_back_to_an_older_one() -> None:
    shelf = put(EMPTY, keys(2), configuration(5), listed(7, "ann"))
    assert outcome(shelf, keys(1)) is Shelving.OLDER
    assert outcome(shelf, configuration(4)) is Shelving.OLDER
    assert outcome(shelf, listed(6)) is Shelving.OLDER
    assert outcome(shelf, configuration(5)) is Shelving.HELD
    other_content = configuration(5, content=Configuration(kinds=()))
    assert outcome(shelf, other_content) is Shelving.HELD, "one version has one content"


def test_attack_10_a_restart_does_not_open_the_way_back() -> None:
    shelf = put(EMPTY, keys(2), configuration(5), listed(7, "ann"), change(7, 8, ("ann",), ("ann", "bob")))
    again = restored(EMPTY, parts_of(shelf), shelf.floors)
    assert again.versions() == shelf.versions()
    assert denied(again) == {"ann", "bob"}
    without = restored(EMPTY, (), shelf.floors)
    assert outcome(without, configuration(4)) is Shelving.OLDER
    assert outcome(without, configuration(5)) is Shelving.TAKEN


def test_attack_17_deltas_apply_in_order_on_their_own_base_only() -> None:
    shelf = put(EMPTY, listed(1, "ann"))
    second, third = change(1, 2, ("ann",), ("ann", "bob")), change(2, 3, ("ann", "bob"), ("bob", "eve"))
    assert outcome(shelf, third) is Shelving.WRONG_BASE
    assert outcome(EMPTY, second) is Shelving.WRONG_BASE
    both = put(shelf, second, third)
    assert denied(both) == {"bob", "eve"}
    assert outcome(both, second) is Shelving.OLDER
    assert outcome(both, third) is Shelving.HELD


def test_attack_17_a_delta_on_another_content_of_the_same_version_is_refused() -> None:
    shelf = put(EMPTY, listed(1, "ann"))
    assert outcome(shelf, change(1, 2, ("bob",), ("bob", "eve"))) is Shelving.WRONG_BASE


@pytest.mark.parametrize("tokens", [b"1234567", b"\1" * 16, bytes(range(16, 0, -1))])
def test_a_list_that_is_not_sorted_or_cut_is_refused(tokens: bytes) -> None:
    bad = publish(
        Snapshot(tokens=tokens), kind=DocumentKind.LIST, name=DENY, city="kzo", version=1, made_ms=NOW_MS,
        until_ms=FOREVER_MS, key=ROOT,
    )  # fmt: skip
    assert outcome(EMPTY, bad) is Shelving.MALFORMED


def test_attacks_2_and_3_only_the_citys_keys_in_force_may_sign() -> None:
    assert outcome(EMPTY, configuration(1, key=OTHER)) is Shelving.UNKNOWN_KEY
    shelf = put(EMPTY, keys(1, also=(NEXT,)))
    forged = configuration(1, key=OTHER).signed
    for key_id, signature in ((ROOT.key_id, forged.signature), (ROOT.key_id, b""), (NEXT.key_id, b"\0" * 64)):
        said, _ = shelve(
            shelf, type(forged)(purpose=forged.purpose, key_id=key_id, body=forged.body, signature=signature), NOW_MS
        )
        assert said is Shelving.BAD_SIGNATURE
    receipt = ROOT.sign(Purpose.RECEIPT, configuration(1).signed.body)
    assert shelve(shelf, receipt, NOW_MS)[0] is Shelving.BAD_SIGNATURE, "signed for another purpose"


def test_a_key_signs_from_its_day_until_its_last() -> None:
    content = KeySet(
        keys=(
            CityKey(public=ROOT.public, from_ms=0, until_ms=NOW_MS + DAY_MS),
            CityKey(public=NEXT.public, from_ms=NOW_MS + DAY_MS, until_ms=FOREVER_MS),
        )
    )
    document = publish(
        content, kind=DocumentKind.KEYS, city="kzo", version=1, made_ms=NOW_MS, until_ms=FOREVER_MS, key=ROOT
    )
    shelf = put(EMPTY, document)
    assert outcome(shelf, configuration(1, key=NEXT)) is Shelving.KEY_NOT_IN_FORCE, "pre-published"
    assert outcome(shelf, configuration(1), NOW_MS + DAY_MS) is Shelving.KEY_NOT_IN_FORCE
    assert outcome(shelf, configuration(1, key=NEXT), NOW_MS + DAY_MS) is Shelving.TAKEN
    taken = put(shelf, configuration(1))
    assert restored(EMPTY, parts_of(taken), taken.floors).versions() == taken.versions(), "it was in force then"


def test_keys_follow_each_other_and_a_revoked_one_takes_along_what_it_signed() -> None:
    shelf = put(EMPTY, keys(1, also=(NEXT,)), configuration(3), fares(1), listed(2, "ann"))
    after = put(shelf, keys(2, key=NEXT, also=(NEXT,), revoked=(ROOT,)))
    assert holdings(after, NOW_MS) is None
    assert outcome(after, configuration(4)) is Shelving.REVOKED_KEY
    assert outcome(after, configuration(2, key=NEXT)) is Shelving.OLDER, "versions only rise"
    assert outcome(after, configuration(3, key=NEXT)) is Shelving.TAKEN
    again = restored(EMPTY, parts_of(after), after.floors)
    assert again.public_of(ROOT.key_id, NOW_MS) is Shelving.REVOKED_KEY
    assert again.public_of(NEXT.key_id, NOW_MS) == NEXT.public


def test_attack_7_another_citys_and_expired_documents_are_refused() -> None:
    assert outcome(EMPTY, configuration(1, city="ala")) is Shelving.WRONG_CITY
    assert outcome(EMPTY, configuration(1, until_ms=NOW_MS)) is Shelving.EXPIRED


def test_a_configuration_published_ahead_counts_from_its_day_and_the_one_before_until_then() -> None:
    stricter = Configuration(kinds=(KindRules(kind=MediumKind.PHONE),))
    shelf = put(
        EMPTY, configuration(1), configuration(2, from_ms=NOW_MS + DAY_MS, content=stricter), fares(1), listed(1)
    )
    now, then = holdings(shelf, NOW_MS), holdings(shelf, NOW_MS + DAY_MS)
    assert now is not None
    assert then is not None
    assert (now.configuration, then.configuration) == (CONFIGURATION, stricter)
    assert holdings(shelf, FOREVER_MS) is None, "nothing counts for ever"


def test_nonsense_in_a_right_envelope_is_malformed() -> None:
    assert shelve(EMPTY, ROOT.sign(Purpose.DOCUMENT, b"\xc1"), NOW_MS)[0] is Shelving.MALFORMED


def test_publishing_says_what_a_kind_holds() -> None:
    with pytest.raises(TypeError, match="a document of kind fares holds FareTable, not Configuration"):
        publish(CONFIGURATION, kind=DocumentKind.FARES, city="kzo", version=1, made_ms=0, until_ms=1, key=ROOT)


@pytest.mark.parametrize(
    ("held", "sent"),
    [
        (None, ["list 3", "list_delta 4", "list_delta 5"]),
        (1, ["list_delta 2", "list_delta 3", "list_delta 4", "list_delta 5"]),
        (4, ["list_delta 5"]),
        (5, []),
        (9, []),
    ],
)
def test_a_device_is_sent_what_leads_it_to_the_newest_list_in_the_fewest_bytes(
    held: int | None, sent: list[str]
) -> None:
    many = tuple(f"card-{number}" for number in range(200))
    published = [
        listed(1, *many),
        *(change(at, at + 1, many[: 199 + at], many[: 200 + at]) for at in (1, 2)),
        listed(3, *many),
        *(change(at, at + 1, many, (*many, f"new-{at}")) for at in (3, 4)),
        configuration(2),
        configuration(1, until_ms=NOW_MS),
    ]
    asked = [(DocumentKind.CONFIGURATION, "", 2)] + ([(DocumentKind.LIST, DENY, held)] if held else [])
    names = {one.signed.signature: f"{one.kind.value} {one.version}" for one in published}
    assert [names[one.signature] for one in to_send(published, asked, NOW_MS)] == sent


def test_key_sets_are_sent_first_and_what_expired_is_not_sent() -> None:
    published = [configuration(1), fares(1), keys(1), configuration(2, until_ms=NOW_MS)]
    names = {one.signed.signature: f"{one.kind.value} {one.version}" for one in published}
    assert [names[one.signature] for one in to_send(published, (), NOW_MS)] == ["keys 1", "configuration 1", "fares 1"]
    assert isinstance(FARES, FareTable)
