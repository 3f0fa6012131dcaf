"""``ayaldama evaluate``: how good the predictions are, beside simple ones and those of other systems."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec
import numpy as np
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ayaldama.commands._base import Chosen, console, fail
from ayaldama.report.page import report_page
from ayaldama.terminal import Steps
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from transit.accuracy.assignment import Assignment, assignment
from transit.accuracy.baselines import Baseline
from transit.accuracy.bins import TRANSIT
from transit.accuracy.days import date
from transit.accuracy.evaluation import OURS, Days, Evaluation, chosen_days, judged_systems, own_forecasts, recorded_for
from transit.accuracy.figures import Errors, Figures
from transit.accuracy.follow import follow
from transit.accuracy.forecasts import Forecasts, InputError, Names, read_forecasts
from transit.accuracy.passings import Observed, read_passings
from transit.accuracy.recording import Recording, labels_of, read_recording

RECORDED: Final = "recording"


class _Dates(click.ParamType[tuple[dt.date, ...]]):
    """Dates with commas between, or two dots for all from one to another."""

    name = "dates"

    def convert(
        self, value: str | tuple[dt.date, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[dt.date, ...]:
        """Return the dates."""
        if not isinstance(value, str):
            return value
        found: list[dt.date] = []
        for part in value.split(","):
            try:
                first, *last = (dt.date.fromisoformat(day.strip()) for day in part.split("..", 1))
            except ValueError:
                self.fail(f"{part!r} must be YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD", param, ctx)
            days = ((last or [first])[0] - first).days
            if days < 0:
                self.fail(f"{part!r} must not end before it begins", param, ctx)
            found += [first + dt.timedelta(days=day) for day in range(days + 1)]
        return tuple(found)


class _Named(click.ParamType[tuple[str, Path]]):
    """``NAME=FILE``."""

    name = "named"

    def convert(
        self, value: str | tuple[str, Path], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Return name and file."""
        if not isinstance(value, str):
            return value
        name, separator, file = value.partition("=")
        if not (name and separator and Path(file).is_file()):
            self.fail(f"{value!r} must be NAME=FILE, and the file must exist", param, ctx)
        if name in {OURS, *Baseline}:
            self.fail(f"{name!r} must be another name: a system of ours is called so", param, ctx)
        return name, Path(file)


_INPUT: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUTPUT: Final = click.Path(dir_okay=False, path_type=Path)


@click.command("evaluate")
@click.option(
    "--gtfs",
    "feed",
    required=True,
    metavar="FEED",
    type=click.Path(exists=True, path_type=Path),
    help="GTFS feed of those days: zip or folder.",
)
@click.option("--avl", required=True, metavar="FILE", type=_INPUT, help="Recorded positions, as for ayaldama replay.")
@click.option(
    "--train", type=_Dates(), metavar="DATES", help="Days to learn from. Default: those before each test day."
)
@click.option("--test", type=_Dates(), metavar="DATES", help="Days to judge: 2018-11-07,2018-11-08 or 2018-11-07..09.")
@click.option("--compare", type=_Named(), multiple=True, metavar="NAME=FILE", help="Predictions of another system.")
@click.option("--truth", metavar="FILE", type=_INPUT, help="Observed passings (TIDES stop_visits).")
@click.option(
    "--every",
    type=click.IntRange(min=1, max=600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Predict once in so many recorded seconds.",
)
@click.option("--json", "json_out", metavar="FILE", type=_OUTPUT, help="Write all figures as JSON.")
@click.option("--html", "html_out", metavar="FILE", type=_OUTPUT, help="Write a report with plots, one file.")
@click.pass_obj
def evaluate(
    chosen: Chosen,
    feed: Path,
    avl: Path,
    train: tuple[dt.date, ...] | None,
    test: tuple[dt.date, ...] | None,
    compare: tuple[tuple[str, Path], ...],
    truth: Path | None,
    every: int,
    json_out: Path | None,
    html_out: Path | None,
) -> None:
    """Measure predictions on recorded days, beside simple ones and other systems' (docs/accuracy.md).

    The recording is replayed: a prediction rests only on what was known when it was made. Without --truth, passings
    are derived from the recording itself, each vehicle followed with all of its track in view.

    \b
    ayaldama evaluate --gtfs gtfs.zip --avl week.csv.gz --test 2018-11-07..2018-11-09 --html report.html
    """  # noqa: D301 - \\b is click's mark for lines that stay as they are
    steps = Steps(console())
    try:
        evaluation = _evaluated(chosen, feed, avl, train, test, dict(compare), truth, every, steps)
    except ValueError as error:  # of a feed, a recording, a file or a day: each says which and why
        fail(str(error))
    _print(evaluation, steps)
    try:
        if json_out is not None:
            json_out.write_bytes(msgspec.json.format(msgspec.json.encode(evaluation), indent=2))
        if html_out is not None:
            html_out.write_text(report_page(evaluation), encoding="utf-8")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror or error}")


def _evaluated(
    chosen: Chosen,
    feed: Path,
    avl: Path,
    train: tuple[dt.date, ...] | None,
    test: tuple[dt.date, ...] | None,
    compare: Mapping[str, Path],
    truth: Path | None,
    every_s: int,
    steps: Steps,
) -> Evaluation:
    with steps.step(f"feed {feed.name}"):
        network = load_network(feed, cache=chosen.read().settings.network_cache)
    names = Names(network)
    with steps.step(f"recording {avl.name}"):
        whole = read_recording(avl)
    days = chosen_days(whole, network.time_zone, train, test)
    recording = recorded_for(whole, days, network.time_zone)
    others: dict[str, Forecasts] = {}
    for name, file in compare.items():
        with steps.step(f"predictions {file.name}"):
            others[name] = read_forecasts(file, names)
    assigned = _assigned(network, whole, avl, steps)
    systems: list[Figures] = []
    try:
        observed, counted = _observed(truth, whole, network, names, days, steps)
    except InputError:
        if assigned is None:
            raise
        counted = 0  # a labelled bus that never served a line
    else:
        with _progress(steps, "replay", len(recording.batch)) as tell:
            ours = own_forecasts(network, recording, names, every_s=every_s, progress=tell)
        of_judging = 1 + len(Baseline) + len(others)
        with _progress(steps, "judging", of_judging) as tell:
            judged = judged_systems(network, whole, observed, names, days, every_s=every_s, ours=ours, others=others)
            for figures in judged:
                systems.append(figures)
                tell(len(systems))
            tell(of_judging)
    return Evaluation(
        agency=network.agency_name,
        time_zone=network.time_zone,
        test_days=[date(day).isoformat() for day in days.test.tolist()],
        train_days=[date(day).isoformat() for day in days.train.tolist()],
        every_s=every_s,
        reports=len(recording.batch),
        vehicles=len(set(recording.batch.vehicle_id)),
        passings=counted,
        passings_from=truth.name if truth else RECORDED,
        systems=systems,
        assignment=assigned,
    )


def _assigned(network: Network, recording: Recording, avl: Path, steps: Steps) -> Assignment | None:
    labels = labels_of(avl)
    if labels is None:
        return None
    with _progress(steps, "labels", len(recording.batch)) as tell:
        return assignment(network, recording, labels, tell)


def _observed(
    truth: Path | None, recording: Recording, network: Network, names: Names, days: Days, steps: Steps
) -> tuple[Observed, int]:
    """Return the passings, and how many of them lie on the days of test."""
    if truth is None:
        with _progress(steps, "passings", len(recording.batch)) as tell:
            observed = follow(recording, network, names, tell)
    else:
        with steps.step(f"passings {truth.name}"):
            observed = read_passings(truth, network, names)
    counted = int((np.isin(observed.passings.day, days.test) & observed.passings.arrived).sum())
    if not counted:
        raise InputError(f"{truth.name if truth else RECORDED}: no passing was observed on the days of test")
    return observed, counted


@contextmanager
def _progress(steps: Steps, text: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("  {task.description:9}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=steps.console) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done: bar.update(task, completed=done)


def _print(evaluation: Evaluation, steps: Steps) -> None:
    days = ", ".join(evaluation.test_days)
    steps.console.print(
        f"\n  {evaluation.agency}: {evaluation.passings:,} passings on {days}, from {evaluation.passings_from}; "
        f"a prediction every {evaluation.every_s} s\n"
    )
    if evaluation.assignment is not None:
        steps.console.print("[bold]assignment[/] beside labels")
        steps.console.print(_assignment(evaluation.assignment) + "\n")
    for system in evaluation.systems:
        steps.console.print(_block(system))
        steps.console.print(_summary(system) + "\n")


def _assignment(counts: Assignment) -> str:
    """Return what was made of labelled reports, in words."""

    def share(part: int, whole: int) -> str:
        return f"{_said(100 * part / whole if whole else None, 1)} %"

    return (
        f"in progress on a trip of the feed, {counts.with_trip:,} reports: "
        f"right route and direction {share(counts.right_direction, counts.with_trip)}, "
        f"right trip {share(counts.right_trip, counts.with_trip)}\n"
        f"in progress, {counts.in_progress:,} reports: taken for in service "
        f"{share(counts.in_progress_served, counts.in_progress)}\n"
        f"on layover, deadhead or at base, {counts.elsewhere:,} reports: taken for in service "
        f"{share(counts.elsewhere_served, counts.elsewhere)}"
    )


def _block(system: Figures) -> Table:
    title = f"[bold]{system.name}[/]" if system.name == OURS else system.name
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column("minutes ahead", min_width=26)
    columns = {**system.mbta, "all": system.all}
    for name in columns:
        table.add_column(name, justify="right", min_width=8)
    rows: tuple[tuple[str, Callable[[Errors], float | None], int], ...] = (
        ("predictions", lambda errors: errors.n, 0),
        ("mean absolute error, s", lambda errors: errors.mae_s, 0),
        ("median, s", lambda errors: errors.median_s, 0),
        ("90 of 100 within, s", lambda errors: errors.p90_s, 0),
        ("bus later than said, s", lambda errors: errors.bias_s, 0),
        ("accurate (MBTA), %", lambda errors: errors.accurate_pct, 1),
        ("within p10-p90, %", lambda errors: errors.covered_pct, 1),
        ("p10 to p90, s", lambda errors: errors.width_s, 0),
    )
    for label, value, digits in rows:
        values = [value(errors) for errors in columns.values()]
        if any(one is not None for one in values):
            table.add_row(label, *(_said(one, digits) for one in values))
    return table


def _summary(system: Figures) -> str:
    transit = ", ".join(f"{bounds.name}: {_said(system.transit[bounds.name], 1)}" for bounds in TRANSIT)
    return (
        f"Transit app: {transit}; mean {_said(system.transit_mean_pct, 1)} %\n"
        f"foretold 4-6 min before: {_said(system.foretold_pct, 1)} % of {system.passings:,} passings, "
        f"{_said(system.foretold_under_way_pct, 1)} % of {system.passings_under_way:,} under way\n"
        f"phantoms {_said(system.phantom_pct, 2)} %, already passed {_said(system.already_passed_pct, 2)} %, "
        f"rises of 60 s or more per countdown {_said(system.upward_jumps, 2)}"
    )


def _said(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


COMMAND: Final = evaluate
