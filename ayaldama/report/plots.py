"""Line plots as inline SVG: small, sharp on every screen, coloured by the page's own style sheet.

A series has a CSS class ``s0``, ``s1`` …, so that light and dark are a matter of the page, and a marker of its own, so
that colour is never the only difference. Values also stand in a table beside each plot (``page``).
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 300
LEFT: Final = 52
RIGHT: Final = 14
TOP: Final = 12
BOTTOM: Final = 44
MARKERS: Final = ("circle", "square", "diamond", "triangle", "cross")
STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line: a value per place of the horizontal axis, None where there is none. ``style`` counts from 0."""

    name: str
    values: Sequence[float | None]
    style: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is drawn. ``marks`` names the places of the horizontal axis; ``ideal`` is what would be perfect."""

    title: str
    across: str
    up: str
    marks: Sequence[str]
    series: Sequence[Series]
    top: float | None = None  # of the vertical axis; else what the values need
    ideal: Sequence[float] | None = None
    connected: bool = True  # False where the places have no order: markers alone


def drawn(plot: Plot) -> str:
    """Return ``plot`` as an SVG element."""
    highest = max((value for one in plot.series for value in one.values if value is not None), default=1.0)
    ticks = _ticks(plot.top or highest)
    scale = (HEIGHT - TOP - BOTTOM) / ticks[-1]
    step = (WIDTH - LEFT - RIGHT) / max(len(plot.marks), 1)

    def x(place: int) -> float:
        return LEFT + step * (place + 0.5)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - scale * value

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(plot.title)}; values in the table">'
    ]
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y(tick) + 4:.1f}">{tick:g}</text>')
    every = max(1, math.ceil(sum(len(mark) for mark in plot.marks) * 8 / (WIDTH - LEFT)))
    for place, mark in enumerate(plot.marks):
        if place % every == 0:
            at = f'x="{x(place):.1f}" y="{HEIGHT - BOTTOM + 17}"'
            parts.append(f'<text class="middle" {at}>{html.escape(mark)}</text>')
    parts.append(
        f'<text class="middle axis" x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}">{html.escape(plot.across)}</text>'
    )
    if plot.ideal is not None:
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in enumerate(plot.ideal))
        parts.append(f'<polyline class="ideal" points="{points}"/>')
    lines = [
        _line(one, [None if value is None else (x(place), y(value)) for place, value in enumerate(one.values)])
        for one in reversed(plot.series)  # the first is drawn last, on top
    ]
    kind = "" if plot.connected else ' class="loose"'
    return "".join([*parts, f"<g{kind}>", *lines, "</g></svg>"])


def key(series: Series) -> str:
    """Return the entry of a legend: marker and name."""
    line = _line(series, [(2, 7), (14, 7), (26, 7)], (1,))
    icon = f'<svg class="key" viewBox="0 0 28 14" aria-hidden="true">{line}</svg>'
    return f"<li>{icon}{html.escape(series.name)}</li>"


def _line(series: Series, points: Sequence[tuple[float, float] | None], marked: Sequence[int] | None = None) -> str:
    path, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
        else:
            path.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
            pen = "L"
    shape = MARKERS[series.style % len(MARKERS)]
    markers = "".join(
        _marker(shape, *point)
        for place, point in enumerate(points)
        if point is not None and (marked is None or place in marked)
    )
    return f'<g class="s{series.style}"><path class="line" d="{"".join(path)}"/>{markers}</g>'


def _marker(shape: str, x: float, y: float) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    paths = {
        "square": f"M{x - 3.5:.1f} {y - 3.5:.1f}h7v7h-7z",
        "diamond": f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z",
        "triangle": f"M{x:.1f} {y - 5:.1f}l5 9h-10z",
        "cross": f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8",
    }
    return f'<path class="{shape}" d="{paths[shape]}"/>'


def _ticks(highest: float) -> list[float]:
    """Return four to six round numbers from 0 up to at least ``highest``."""
    rough = max(highest, 1e-6) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in STEPS if power * part >= rough * 0.999)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]
