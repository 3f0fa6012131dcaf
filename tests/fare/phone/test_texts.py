"""Whatever the server may refuse, the page has words for it, in each language."""

from commons.texts import load_catalogue
from fare.phone.bus_code import BusRefusal
from fare.phone.session import SignInRefusal
from fare.purchases import BuyRefusal
from fare.top_ups import Beginning

OPERATORS_OWN = {  # said by the mobile operator of an SMS, never to a phone
    BuyRefusal.NO_CREDIT,
    BuyRefusal.CORPORATE_NUMBER,
    BuyRefusal.SIM_CHANGED,
    BuyRefusal.BARRED,
}


def test_every_refusal_has_its_words() -> None:
    keys = {
        *(f"buy_{one}" for one in set(BuyRefusal) - OPERATORS_OWN),
        *(f"buy_qr_{one}" for one in BusRefusal),
        *(f"top_up_{one}" for one in set(Beginning) - {Beginning.BEGUN}),
        *("key_taken", "key_wrong_time", "key_not_proved"),
        *SignInRefusal,
    }
    texts = load_catalogue("fare.phone")["kk"]
    assert sorted(key for key in keys if f"error.{key}" not in texts) == []


def test_a_text_names_the_same_values_in_each_language() -> None:
    catalogue = load_catalogue("fare.phone")
    for key in catalogue["kk"]:
        named = {frozenset(part.split("}")[0] for part in texts[key].split("{")[1:]) for texts in catalogue.values()}
        assert len(named) == 1, key
