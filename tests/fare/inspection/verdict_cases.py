"""Cases that the server and the phone must judge alike: a bus, who is asked about, when, and how."""

from tests.fare.inspection.bus import Bus

TAPS = """
    paid      here       6:00   accepted        66:00  adult1
    family    here       5:00   accepted        66:00  adult1,child2
    twice     here       4:00   accepted        66:00  adult1
    twice     here       4:30   already_paid    -      -
    over      here       0:00   accepted        9:00   adult1
    broken    here       6:00   free_by_rule    66:00  -
    other     elsewhere  1:00   accepted        61:00  adult1
    long_ago  elsewhere  0:00   accepted        9:59   adult1
    refused   here       7:00   refused_denied  -      -
    both      here       7:00   refused_limit   -      -
    both      here       8:00   accepted        68:00  pupil1
    torn      here       9:00   torn            -      -
    seen      here       6:00   accepted        66:00  adult1         shown@7:00
    seen      here       8:00   accepted        68:00  adult1         shown@9:00
    pair      here       6:00   accepted        66:00  adult1,child1  shown@7:00
    crowd     here       6:00   accepted        66:00  adult1,child1  shown@7:00,8:00
    mother    here       5:00   accepted        65:00  -              shown@7:00
    mother    here       6:00   accepted        66:00  child2
    let_ride  here       6:00   free_by_rule    66:00  -              shown@7:00,8:00
"""
WHO = (
    *("paid", "family", "twice", "over", "broken", "other", "long_ago", "refused", "both", "torn", "nobody"),
    *("seen", "pair", "crowd", "mother", "let_ride"),
    *("ticket paid", "ticket over", "ticket seen", "ticket mother", "ticket nobody"),
    *("phone paid", "phone over", "phone crowd", "phone nobody"),
    *("picture paid", "picture nobody", "ahead paid", "foreign paid", "stranger paid"),
)
BUSES = {
    "at a stop or place unknown": Bus(taps=TAPS),
    "under way": Bus(taps=TAPS, left_stop="9:30"),
    "silent": Bus(taps=TAPS, reported="6:59"),
    "free": Bus(taps=TAPS, rides_free=True),
    "empty": Bus(),
}
CASES = [
    (name, who, at, boarded_before)
    for name in BUSES
    for who in WHO
    for at in ("10:00", "65:59", "66:00")
    for boarded_before in (False, True)
]
