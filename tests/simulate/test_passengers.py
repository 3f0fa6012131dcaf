"""Who boards in the demo: the same for the same seed, of all kinds, and never a medium that could be real."""

from collections import Counter

import numpy as np
import pytest

from ayaldama.simulate.passengers import CATEGORY_SHARES, KIND_SHARES, Crowd, holders
from fare.media._base import Proof
from fare.media.tokens import medium_id
from fare.model import MediumKind
from fare.validator.drawer import KEY

MANY = holders(1, 4_000)


def crowd(seed: int = 3) -> Crowd:
    return Crowd(MANY, np.random.default_rng(seed))


def test_the_same_seed_gives_the_same_passengers() -> None:
    assert holders(1, 50) == holders(1, 50) != holders(2, 50)
    assert crowd().board(40) == crowd().board(40)
    assert crowd(3).board(40) != crowd(4).board(40)


def test_kinds_and_concessions_come_in_their_shares() -> None:
    kinds = Counter(one.kind for one in MANY)
    for kind, share in KIND_SHARES:
        assert kinds[kind] == pytest.approx(share * len(MANY), rel=0.15)
    wallets = [one for one in MANY if one.kind is not MediumKind.BANK_CARD]
    categories = Counter(one.category for one in wallets)
    for category, share in CATEGORY_SHARES:
        assert categories[category] == pytest.approx(share * len(wallets), rel=0.4)


def test_a_bank_card_has_neither_wallet_nor_concession() -> None:
    assert {(one.money_tiyn, one.category) for one in MANY if one.kind is MediumKind.BANK_CARD} == {(0, "")}


def test_some_wallets_are_empty_so_that_debts_are_seen() -> None:
    assert any(one.money_tiyn == 0 for one in MANY if one.kind is MediumKind.TRANSPORT_CARD)
    assert any(one.blocked for one in MANY)


def test_ids_are_made_with_the_published_key_of_the_drawer() -> None:
    assert all(one.medium_id == medium_id(one.kind, one.name, KEY) for one in MANY[:20])


def test_mishaps_happen_and_are_few() -> None:
    showings = crowd().board(4_000)
    proofs = Counter(showing.proof for showing in showings)
    assert proofs[Proof.VERIFIED] > 0.95 * len(showings)
    assert proofs[Proof.TORN] > 0


def test_only_a_chip_counts_and_what_could_not_be_read_has_no_name() -> None:
    for showing in crowd().board(2_000):
        presented = showing.presented(5, 77)
        named = showing.proof is Proof.VERIFIED
        assert bool(presented.medium_id) is named
        assert presented.counter == (77 if named and showing.kind is MediumKind.BANK_CARD else -1)


def test_nobody_boards_where_nobody_waits() -> None:
    assert crowd().board(0) == []
