"""Has this passenger paid for this ride? Doubt is the passenger's, and asking changes nothing."""

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.inspection.check_code import check_code, code_hash, normal_code
from fare.inspection.values import InspectionRules, Question, Standing
from fare.inspection.verdict import inspect
from fare.model import MediumId
from tests.fare.inspection.bus import KEY, SALT, Bus, ask, at_ms, code_of, riders
from tests.fare.inspection.verdict_cases import BUSES, CASES, TAPS
from tests.fare.phone.phones import key, public
from tests.patience import PATIENCE_S

PAGE = Path(__file__).parents[3] / "fare" / "web" / "inspector"
RIDING = Bus(taps=TAPS)


def test_paid_four_minutes_ago_on_this_bus_adult_valid_until() -> None:
    verdict = ask(RIDING, "paid")
    assert verdict.standing is Standing.PAID
    assert (verdict.tapped_ms, verdict.until_ms, verdict.riders) == (at_ms("6:00"), at_ms("66:00"), riders("adult1"))


@pytest.mark.parametrize(
    ("who", "standing"),
    [
        ("paid", Standing.PAID),
        ("family", Standing.PAID),
        ("twice", Standing.PAID),
        ("both", Standing.PAID),
        ("broken", Standing.FREE),
        ("over", Standing.EXPIRED),
        ("other", Standing.OTHER_VEHICLE),
        ("long_ago", Standing.NOT_PAID),
        ("refused", Standing.REFUSED),
        ("torn", Standing.REFUSED),
        ("nobody", Standing.NOT_PAID),
    ],
)
def test_each_passenger_has_one_standing(who: str, standing: Standing) -> None:
    assert ask(RIDING, who).standing is standing


@pytest.mark.parametrize(
    ("what", "standing"),
    [
        ("ticket paid", Standing.PAID),
        ("ticket over", Standing.EXPIRED),
        ("phone paid", Standing.PAID),
        ("phone over", Standing.EXPIRED),
        ("picture paid", Standing.NOT_LIVE),
        ("ahead paid", Standing.NOT_LIVE),
    ],
)
def test_a_ticket_and_a_live_phone_are_as_good_as_a_card(what: str, standing: Standing) -> None:
    assert ask(RIDING, what).standing is standing


def test_attack_6_a_screenshot_is_refused_also_while_the_validator_is_silent() -> None:
    silent = Bus(taps=TAPS, reported="6:59")
    assert ask(silent, "picture nobody").standing is Standing.NOT_LIVE, "the live code can be asked for at any time"
    assert ask(silent, "phone nobody").standing is Standing.UNKNOWN


def test_a_forwarded_message_is_shown_already_and_says_when() -> None:
    verdict = ask(RIDING, "ticket seen")
    assert (verdict.standing, verdict.shown_ms) == (Standing.SHOWN, at_ms("7:00"))
    assert verdict.standing.founds_warning


def test_a_code_is_good_for_as_many_as_it_was_paid_for() -> None:
    assert ask(RIDING, "pair").standing is Standing.PAID, "the second of two"
    assert ask(RIDING, "crowd").standing is Standing.SHOWN, "the third"
    assert ask(RIDING, "phone crowd").standing is Standing.SHOWN, "however it is shown"
    assert ask(RIDING, "mother").riders == riders("child2"), "who was paid for by a second touch"
    assert ask(RIDING, "ticket mother").standing is Standing.SHOWN, "the ticket of the first touch alone"


def test_the_same_passenger_asked_again_is_one_showing() -> None:
    assert ask(RIDING, "crowd", showing_id="earlier-8:00").standing is Standing.PAID
    assert ask(RIDING, "seen", showing_id="earlier-9:00").standing is Standing.PAID


def test_an_honest_passenger_is_asked_again_in_a_later_round() -> None:
    later = Bus(taps=TAPS, reported="17:00")
    assert ask(later, "crowd", "16:59").standing is Standing.SHOWN
    assert ask(later, "crowd", "17:00").standing is Standing.PAID, "ten minutes after the first of two"


def test_what_is_free_is_free_for_everybody_who_shows_it() -> None:
    assert ask(RIDING, "let_ride").standing is Standing.FREE


def test_i7_one_tap_pays_for_several_riders_of_mixed_categories() -> None:
    assert ask(RIDING, "family").riders == riders("adult1,child2")


def test_a_ride_ends_when_what_was_paid_for_is_over() -> None:
    assert ask(RIDING, "paid", "10:00").standing is Standing.PAID
    late = Bus(taps=TAPS, reported="66:00")
    assert ask(late, "paid", "65:59").standing is Standing.PAID
    assert ask(late, "paid", "66:00").standing is Standing.EXPIRED


def test_before_the_next_stop_there_is_still_time_to_pay() -> None:
    under_way = Bus(taps=TAPS, left_stop="9:30")
    verdict = ask(under_way, "nobody", boarded_before=False)
    assert (verdict.standing, verdict.otherwise, verdict.next_stop) == (Standing.GRACE, Standing.NOT_PAID, "Базар")
    assert ask(under_way, "nobody", boarded_before=True).standing is Standing.NOT_PAID
    assert ask(under_way, "paid", boarded_before=False).standing is Standing.PAID


@pytest.mark.parametrize("who", ["nobody", "over", "other", "refused"])
def test_while_the_validator_is_silent_nobody_is_said_not_to_have_paid(who: str) -> None:
    verdict = ask(Bus(taps=TAPS, reported="6:59"), who)
    assert verdict.standing is Standing.UNKNOWN
    assert not verdict.standing.founds_warning


def test_where_the_operator_lets_ride_free_nobody_owes_anything() -> None:
    assert ask(Bus(rides_free=True), "nobody").standing is Standing.FREE


def test_i3_asking_a_hundred_times_changes_nothing() -> None:
    held = RIDING.held()
    before = msgspec.json.encode(held)
    question = Question(vehicle_id="bus-7", code=code_of("paid"))
    assert len({inspect(question, held, at_ms("10:00")).verdict.standing for _ in range(100)}) == 1
    assert msgspec.json.encode(held) == before


@given(st.text(max_size=14))
def test_attack_11_what_is_no_code_is_answered_as_a_code_that_nobody_has(typed: str) -> None:
    asked = inspect(Question(vehicle_id="bus-7", code=typed, boarded_before=True), RIDING.held(), at_ms("10:00"))
    assert asked.verdict == ask(RIDING, "nobody")


def test_attack_11_a_strangers_phone_and_a_forged_code_are_answered_as_a_code_that_nobody_has() -> None:
    nobody = ask(RIDING, "nobody")
    assert [ask(RIDING, what) for what in ("stranger paid", "foreign paid", "phone nobody", "ticket nobody")] == [
        nobody
    ] * 4


def test_a_picture_is_answered_alike_whoever_it_is_of() -> None:
    assert ask(RIDING, "picture paid") == ask(RIDING, "picture nobody")


def test_the_list_of_another_bus_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match="asked for vehicle bus-9, the list is of bus-7"):
        inspect(Question(vehicle_id="bus-9", code=""), RIDING.held(), 0)


def test_a_list_holds_neither_media_nor_codes_and_no_two_lists_can_be_joined() -> None:
    text = msgspec.json.encode(RIDING.held()).decode()
    assert "family" not in text
    assert code_of("family") not in text
    assert code_hash(code_of("family"), SALT) in text
    assert code_hash(code_of("family"), bytes([1]) * 16) not in text
    assert public("family").hex() not in text
    assert key("family").key_id not in text


def judged_by_the_page(folder: Path, asked: list[dict[str, object]], *, before: str = "") -> list[dict[str, object]]:
    """Return what verdict.js says in Node, after the script ``before`` has run."""
    if shutil.which("node") is None:
        pytest.skip("no Node on this machine")
    for file in (PAGE / "verdict.js", PAGE / "own_code.js", PAGE.with_name("phone") / "codes.js"):
        shutil.copy(file, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    script = f"""
        import {{ inspect }} from {json.dumps((folder / "verdict.js").as_uri())};
        {before}
        const said = [];
        for (const {{ held, now, ...question }} of JSON.parse(await new Response(process.stdin).text()))
          said.push((await inspect(question, held, now)).verdict);
        process.stdout.write(JSON.stringify(said));
    """
    run = subprocess.run(
        ["node", "--input-type=module", "--eval", script],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    said: list[dict[str, object]] = json.loads(run.stdout)
    return said


def question(bus: str, who: str, at: str, *, before: bool = True) -> dict[str, object]:
    return {
        "held": msgspec.to_builtins(BUSES[bus].held()),
        "code": BUSES[bus].code(who, at),
        "boardedBefore": before,
        "showingId": "this one",
        "now": at_ms(at),
    }


def test_the_phone_says_what_the_server_says(tmp_path: Path) -> None:
    """verdict.js in Node against verdict.py, over every case: it is the same judge on both sides."""
    said = judged_by_the_page(tmp_path, [question(bus, who, at, before=before) for bus, who, at, before in CASES])
    by_server = [ask(BUSES[bus], who, at, boarded_before=before) for bus, who, at, before in CASES]
    assert said == json.loads(msgspec.json.encode(by_server))
    assert {verdict.standing for verdict in by_server} == {*Standing}, "the cases reach every answer"


def test_a_browser_that_cannot_verify_a_phone_does_not_say_that_it_has_not_paid(tmp_path: Path) -> None:
    without_ed25519 = """
        const { importKey } = crypto.subtle;
        crypto.subtle.importKey = function (format, key, algorithm, ...rest) {
          if (algorithm.name === "Ed25519") throw new DOMException("no such algorithm", "NotSupportedError");
          return importKey.call(this, format, key, algorithm, ...rest);
        };
    """
    bus = "at a stop or place unknown"
    asked = [question(bus, who, "10:00") for who in ("phone paid", "paid", "picture paid")]
    said = judged_by_the_page(tmp_path, asked, before=without_ed25519)
    assert [verdict["standing"] for verdict in said] == ["unknown", "paid", "not_live"]


# Check codes


def test_damms_own_example_has_the_check_digit_4() -> None:
    assert normal_code("0000005724") == "0000005724"
    assert [normal_code(f"000000572{digit}") for digit in "012356789"] == [None] * 9


@given(st.binary(min_size=1, max_size=16), st.integers(0, 9), st.integers(1, 9))
def test_one_wrong_digit_is_no_code(medium: bytes, place: int, by: int) -> None:
    code = check_code(MediumId(medium.hex()), KEY)
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    assert normal_code(code) == code
    assert normal_code(wrong) is None


@given(st.binary(min_size=1, max_size=16), st.integers(0, 8))
def test_two_neighbours_that_changed_places_are_no_code(medium: bytes, place: int) -> None:
    code = check_code(MediumId(medium.hex()), KEY)
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert normal_code(swapped) == (code if code[place] == code[place + 1] else None)


def test_a_code_may_be_typed_in_groups() -> None:
    code = code_of("paid")
    assert normal_code(f" {code[:3]} {code[3:6]}-{code[6:]}") == code


@pytest.mark.parametrize("typed", ["", "1234", "０１２３４５６７８９", "12345678901", "abcdefghij"])
def test_what_is_no_code_is_none(typed: str) -> None:
    assert normal_code(typed) is None


@pytest.mark.parametrize("rule", ["list_age_max_ms", "round_ms", "fine_tiyn", "appeal_days"])
def test_rules_that_cannot_be_meant_are_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=f"inspection.{rule}"):
        InspectionRules(**{rule: 0})
