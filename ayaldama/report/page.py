"""The report of ``ayaldama evaluate`` as one HTML page: plots, and every value in a table beside them.

No script, no font, no address: it opens from a disk, in light and dark, on a telephone and on paper.
"""

import html
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Final

from ayaldama.report.plots import Plot, Series, drawn, key
from transit.accuracy.assignment import Assignment
from transit.accuracy.bins import MBTA, TRANSIT
from transit.accuracy.evaluation import Evaluation
from transit.accuracy.figures import Errors, Figures

ROUTES_MAX: Final = 30  # the busiest; the JSON has all
STYLES: Final = 7  # colours of the style sheet; further systems take them again


def report_page(evaluation: Evaluation) -> str:
    """Return the page."""
    style = resources.files("ayaldama.report").joinpath("report.css").read_text(encoding="utf-8")
    days = _days(evaluation.test_days)
    title = f"Arrival predictions, {evaluation.agency}, {days}"
    learned = _days(evaluation.train_days) if evaluation.train_days else "the days before each day judged"
    sections = (_judged(evaluation.systems) if evaluation.systems else "") + _assignment(evaluation.assignment)
    facts = (
        f"{evaluation.passings:,} observed passings ({evaluation.passings_from}), {evaluation.vehicles:,} vehicles, "
        f"{evaluation.reports:,} reports replayed, a prediction every {evaluation.every_s} s. "
        f"Learned from {learned}. Times are those of {evaluation.time_zone}."
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head><body><main><header>"
        f"<h1>Arrival predictions</h1><p class='where'>{html.escape(evaluation.agency)}, {html.escape(days)}</p>"
        f"<p>{html.escape(facts)}</p></header>{sections}</main></body></html>\n"
    )


def _judged(systems: Sequence[Figures]) -> str:
    parts = (_summary, _horizon, _hours, _routes, _calibration, _coverage, _transit)
    return "".join(part(systems) for part in parts)


def _summary(systems: Sequence[Figures]) -> str:
    heads = ["", *(f"{b.name} min" for b in MBTA), "foretold", "phantoms", "rises"]
    rows = [
        [
            system.name,
            *(f"{_n(system.mbta[b.name].mae_s)} s / {_n(system.mbta[b.name].accurate_pct)} %" for b in MBTA),
            f"{_n(system.foretold_pct)} %",
            f"{_n(system.phantom_pct, 2)} %",
            _n(system.upward_jumps, 2),
        ]
        for system in systems
    ]
    text = (
        "Mean absolute error in seconds, and the share within the bounds by which the MBTA judges its predictions, "
        "by how far ahead they looked. Foretold: passings from the third stop on that had a prediction four to six "
        "minutes before. Phantoms: predictions of a bus that never came. Rises: how often a countdown went up by a "
        "minute or more."
    )
    return _section("In short", text, _table(heads, rows))


def _horizon(systems: Sequence[Figures]) -> str:
    names = [b.name for b in MBTA]

    def plot(title: str, up: str, value: Callable[[Errors], float | None], top: float | None = None) -> str:
        series = [_series(i, s.name, [value(s.mbta[name]) for name in names]) for i, s in enumerate(systems)]
        return _figure(Plot(title=title, across="minutes ahead", up=up, marks=names, series=series, top=top))

    bias = _table(
        ["Bus later than said, s", *names],
        [[s.name, *(_n(s.mbta[name].bias_s) for name in names)] for s in systems],
    )
    return _section(
        "By horizon",
        "How far off, and how often within bounds, by how far ahead a prediction looked.",
        plot("Mean absolute error", "seconds", lambda e: e.mae_s)
        + plot("Accurate within the MBTA's bounds", "per cent", lambda e: e.accurate_pct, 100)
        + plot("Nine of ten errors are smaller than", "seconds", lambda e: e.p90_s)
        + f"<details><summary>Bias: a positive figure means the bus came later than said</summary>{bias}</details>",
    )


def _hours(systems: Sequence[Figures]) -> str:
    hours = sorted({hour for system in systems for hour in system.by_hour}, key=lambda hour: (hour - 3) % 24)
    series = [
        _series(i, s.name, [s.by_hour[h].mae_s if h in s.by_hour else None for h in hours])
        for i, s in enumerate(systems)
    ]
    marks = [f"{hour}" for hour in hours]
    plot = Plot(
        title="Mean absolute error", across="local hour of prediction", up="seconds", marks=marks, series=series
    )
    return _section(
        "By hour of day", "All horizons together, by the hour in which the prediction was made.", _figure(plot)
    )


def _routes(systems: Sequence[Figures]) -> str:
    ours = systems[0].by_route
    routes = sorted(ours, key=lambda route: -ours[route].n)[:ROUTES_MAX]
    routes.sort(key=lambda route: -(ours[route].mae_s or 0.0))
    series = [
        _series(i, s.name, [s.by_route[r].mae_s if r in s.by_route else None for r in routes])
        for i, s in enumerate(systems)
    ]
    plot = Plot(
        title="Mean absolute error",
        across="route, worst first",
        up="seconds",
        marks=routes,
        series=series,
        connected=False,
    )
    text = "All horizons together."
    if len(ours) > ROUTES_MAX:
        text += f" The {ROUTES_MAX} routes with the most predictions of {len(ours)}."
    return _section("By route", text, _figure(plot))


def _calibration(systems: Sequence[Figures]) -> str:
    bounded = [(i, s) for i, s in enumerate(systems) if s.calibration]
    if not bounded:
        return ""
    levels = bounded[0][1].calibration
    series = [_series(i, s.name, [level.observed_pct for level in s.calibration]) for i, s in bounded]
    plot = Plot(
        title="Passings no later than the quantile",
        across="quantile said",
        up="per cent",
        marks=[level.name for level in levels],
        series=series,
        top=100,
        ideal=[level.nominal_pct for level in levels],
    )
    names = [b.name for b in MBTA]
    rows = [
        [f"{system.name}, {level.name}", *(_n(level.by_bin.get(name), 1) for name in names)]
        for _, system in bounded
        for level in system.calibration
    ]
    rows += [[f"{s.name}, within", *(_n(s.mbta[name].covered_pct, 1) for name in names)] for _, s in bounded]
    rows += [[f"{s.name}, width in s", *(_n(s.mbta[name].width_s) for name in names)] for _, s in bounded]
    return _section(
        "Calibration of the interval",
        "Of the passings, one in ten should come before p10, half before the median, nine in ten before p90 (dashed).",
        _figure(plot) + f"<h3>By minutes ahead</h3>{_table(['per cent', *names], rows)}",
    )


def _coverage(systems: Sequence[Figures]) -> str:
    rows = [
        [
            s.name,
            f"{_n(s.foretold_pct, 1)} % of {s.passings:,}",
            f"{_n(s.foretold_under_way_pct, 1)} % of {s.passings_under_way:,}",
            *(f"{100 * s.outcomes[name] / max(s.in_range, 1):.1f} %" for name in s.outcomes),
        ]
        for s in systems
    ]
    heads = ["", "foretold", "under way", *(name for name in systems[0].outcomes)]
    text = (
        "Passings that had a prediction four to six minutes before: all from the third stop on, and those at least six "
        "minutes into a run. Then what became of the predictions: matched with a passing, passed already, in a hole of "
        "the observations (not judged), phantom (the bus was seen on and never came), unknown (lost from sight)."
    )
    return _section("Coverage and outcomes", text, _table(heads, rows))


def _transit(systems: Sequence[Figures]) -> str:
    rows = [[s.name, *(_n(s.transit[b.name], 1) for b in TRANSIT), _n(s.transit_mean_pct, 1)] for s in systems]
    heads = ["per cent accurate", *(f"{b.name} min" for b in TRANSIT), "mean"]
    return _section(
        "By the Transit app's rule", "By how far off the bus really was when it was said.", _table(heads, rows)
    )


def _assignment(counts: Assignment | None) -> str:
    if counts is None:
        return ""
    rows = [
        ("in progress on a trip of the feed", "right route and direction", counts.right_direction, counts.with_trip),
        ("in progress on a trip of the feed", "right trip", counts.right_trip, counts.with_trip),
        ("in progress", "taken for in service", counts.in_progress_served, counts.in_progress),
        ("layover, deadhead or at base", "taken for in service", counts.elsewhere_served, counts.elsewhere),
    ]
    cells = [[what, taken, f"{_n(100 * n / of if of else None, 1)} %", f"{of:,}"] for what, taken, n, of in rows]
    text = "What was made of each report, beside what a person wrote down that the bus was doing."
    return _section("Assignment", text, _table(["labelled", "found", "share", "reports"], cells))


def _series(style: int, name: str, values: Sequence[float | None]) -> Series:
    return Series(name=name, values=values, style=style % STYLES)


def _figure(plot: Plot) -> str:
    rows = [[one.name, *(_n(value, 0 if (value or 0) >= 10 else 1) for value in one.values)] for one in plot.series]
    legend = "".join(key(one) for one in plot.series)
    return (
        f"<figure><figcaption>{html.escape(plot.title)} <small>{html.escape(plot.up)}</small></figcaption>"
        f'<ul class="legend">{legend}</ul>{drawn(plot)}'
        f"<details><summary>Values</summary>{_table([plot.across, *plot.marks], rows)}</details></figure>"
    )


def _section(title: str, text: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>{content}</section>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>{"".join(f"<td>{html.escape(one)}</td>" for one in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _days(days: Sequence[str]) -> str:
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]} ({len(days)} days)"


def _n(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
