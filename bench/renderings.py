"""How many boards a second one core renders for LED panels, e-ink and voices, beside the least that each could take.

    python bench/renderings.py [--seconds 2]

The board has twelve lines in all states; nothing is kept from one answer to the next but what the server keeps too
(short names, fonts, letters). The limit beside each figure is the last step alone, on the same answer: encoding JSON,
encoding text, and for pictures Pillow's PNG encoder.
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from typing import Final

import msgspec
from PIL import Image

from commons.texts import LANGUAGES
from stop_display.abbreviations import load_abbreviations
from stop_display.model import BoardArrival, Line, StopBoard
from stop_display.outcomes import LineState
from stop_display.rendering_routes import load_words
from stop_display.renderings._base import Form, Kit, Rendered, renderings
from stop_display.renderings._canvas import COMPRESS_LEVEL
from stop_display.renderings._code_pages import CODE_PAGES, encoded
from stop_display.renderings._fonts import Fonts
from stop_display.renderings.led import LedPages
from stop_display.wording import Showing

ZONE: Final = "Asia/Qyzylorda"
NOON_MS: Final = 1_790_060_400_000
MINUTE_MS: Final = 60_000
STOP: Final = {"kk": "Орталық алаң", "ru": "Центральная площадь", "en": "Central square"}
TO: Final = (
    {"kk": "Шұғыла мөлтек ауданы", "ru": "микрорайон Шугыла", "en": "Shugyla district"},
    {"kk": "Теміржол вокзалы", "ru": "Железнодорожный вокзал", "en": "Railway Station"},
    {
        "kk": "Байтұрсынов көшесіндегі емхана",
        "ru": "Поликлиника на ул. Байтурсынова",
        "en": "Baitursynov Street Clinic",
    },
)
MINUTES_APART: Final = 7


def board() -> StopBoard:
    """Return twelve lines: half with buses, the others with a reason why none comes."""
    quiet = [state for state in LineState if state not in {LineState.LIVE, LineState.TIMETABLE, LineState.CANCELLED}]
    lines = []
    for number in range(12):
        state = LineState.LIVE if number % 2 == 0 else quiet[number // 2 % len(quiet)]
        coming = [
            BoardArrival(
                key=f"{number}|{after}",
                state="live" if after == 0 else "timetable",
                arrival_ms=NOON_MS + (2 + number + after * MINUTES_APART) * MINUTE_MS,
                scheduled_ms=NOON_MS + (1 + number + after * MINUTES_APART) * MINUTE_MS,
            )
            for after in range(3 if state is LineState.LIVE else 0)
        ]
        lines.append(
            Line(
                key=str(number),
                route_id=str(number),
                route=str(10 + number),
                destination=TO[number % len(TO)],
                state=state,
                arrivals=coming,
                headway_s=(480, 600) if state is LineState.HEADWAY else None,
                first_ms=NOON_MS + 90 * MINUTE_MS,
            )
        )
    return StopBoard(stop="alan", code="017", name=STOP, lines=lines)


def per_second(act: Callable[[int], object], seconds: float) -> float:
    """Return how often ``act`` ends in a second of this thread's time on a core; it is told the how manieth it is."""
    act(0)
    number, until_s, began_ns = 0, time.perf_counter() + seconds, time.thread_time_ns()
    while time.perf_counter() < until_s:
        number += 1
        act(number)
    return number / ((time.thread_time_ns() - began_ns) / 1e9)


def last_step(form: Form, made: Rendered) -> tuple[str, Callable[[int], object]]:
    """Return the last step of a form alone, on what it made."""
    if form.content_type == "image/png":
        image = Image.open(io.BytesIO(made.body))
        image.load()
        return "Pillow's PNG encoder", lambda _: image.save(io.BytesIO(), format="PNG", compress_level=COMPRESS_LEVEL)
    if form.content_type == "application/json":
        answer, encoder = msgspec.json.decode(made.body, type=LedPages), msgspec.json.Encoder()
        return "msgspec's JSON encoder", lambda _: encoder.encode(answer)
    text = made.body.decode(made.charset or "utf-8")
    code_page = next(page for page in CODE_PAGES.values() if page.charset == (made.charset or "utf-8"))
    return f"{code_page.charset} alone", lambda _: encoded(text, code_page)


def measured(path: str, options: dict[str, str], seconds: float) -> dict[str, object]:
    """Return renderings of a form a second, and its last step's."""
    form = next(one for rendering in renderings().values() for one in rendering.forms if one.path == path)
    chosen, shown = form.options(options), board()
    kit = Kit(words=load_words(ZONE), abbreviations=load_abbreviations(), fonts=Fonts(), link="https://e.kz/stop/alan")

    def render(number: int) -> Rendered:
        now_ms = NOON_MS + number * 1_000 % (2 * MINUTE_MS)  # so that no two answers in a row are the same
        showing = Showing(board=shown, now_ms=now_ms, as_of_ms=now_ms - 1_000, time_zone=ZONE, rate=1.0)
        return form.render(showing, chosen, kit)

    name, step = last_step(form, render(0))
    done, limit = per_second(render, seconds), per_second(step, seconds / 2)
    return {
        "form": path,
        **options,
        "bytes": len(render(0).body),
        "per_second": round(done),
        "ms": round(1_000 / done, 2),
        "limit": name,
        "limit_per_second": round(limit),
    }


def main() -> None:
    """Print a line for each form."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    seconds = arguments.parse_args().seconds
    for path, options in (
        ("led", {"lang": LANGUAGES[0]}),
        ("led", {"lang": "rotate"}),
        ("led.txt", {"encoding": "kz1048"}),
        ("eink.png", {"width": "800", "height": "480"}),
        ("eink.png", {"width": "1872", "height": "1404"}),
        ("speech.txt", {"lang": LANGUAGES[1]}),
    ):
        print(json.dumps(measured(path, options, seconds), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
