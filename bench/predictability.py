"""How well a running time could be known at all, from observed passings: the floor beneath any arrival prediction.

    python bench/predictability.py [PASSINGS --test FIRST..LAST]

``PASSINGS`` is a TIDES ``stop_visits`` file; without it the recorded week of Kaohsiung beside the project is taken.
From each passing on the test days the time to a stop some way ahead is explained, from exact passings as no live system
has them: by the mean of earlier days at that hour; and by what buses of the last hour and a half needed there; and by
the bus's own pace, over ten stops and over the day; and, which nobody can know, by what the next bus will need. Each
column is a regression for the least mean absolute error, fitted on the test days themselves: what is left is the noise
of single buses.
"""

import argparse
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

RECORDED = Path(__file__).parents[1].parent / "shared" / "data" / "kaohsiung_2018" / "stop_visits_truth.csv.gz"
RECORDED_TEST = "2018-11-07..2018-11-09"
SPANS = (3, 6, 12, 20)  # stops
KERNEL_H = 0.5
RECENT_S, RECENT_HALF_S = 5_400.0, 1_800.0
NEXT_S = 1_800.0
LEARN_LEAST = 10  # runs of earlier days


@dataclass(frozen=True, slots=True)
class Line:
    """Runs of one route and direction, by departure: when each passed each stop, NaN for unseen."""

    passed_s: Floats  # [runs, stops]
    hour: Floats
    day: npt.NDArray[np.int64]
    working: npt.NDArray[np.bool_]
    vehicle: npt.NDArray[np.object_]


def lines(path: Path) -> list[Line]:
    """Read passings and lay each run out along its stops."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    text = table.actual_arrival_time.where(table.actual_arrival_time != "", table.actual_departure_time)
    when = pd.to_datetime(text, utc=True, format="ISO8601")
    table["when_s"] = (when - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    shift_s = dt.datetime.fromisoformat(text[0]).utcoffset().total_seconds()
    table["place"] = table.stop_sequence.astype(float).astype(int)
    found = []
    for _, group in table.sort_values(["vehicle_id", "when_s"]).groupby(["route_id", "direction_id"]):
        stops = {stop: i for i, stop in enumerate(sorted(group.place.unique()))}
        new = (group.vehicle_id != group.vehicle_id.shift()) | (group.place <= group.place.shift())
        new |= (group.trip_id_performed != group.trip_id_performed.shift()) | (group.when_s.diff() > 2_700)
        runs = []
        for _, run in group.groupby(new.cumsum()):
            passed = np.full(len(stops), np.nan)
            passed[[stops[place] for place in run.place]] = run.when_s
            runs.append((run.when_s.iloc[0], run.vehicle_id.iloc[0], run.service_date.iloc[0], passed))
        runs.sort(key=lambda run: run[0])
        passed = np.array([run[3] for run in runs])
        dates = [dt.date.fromisoformat(run[2]) for run in runs]
        found.append(
            Line(
                passed,
                ((passed[:, :-1] + passed[:, 1:]) / 2 + shift_s) % 86_400 / 3_600,
                np.array([date.toordinal() for date in dates]),
                np.array([date.weekday() < 5 for date in dates]),
                np.array([run[1] for run in runs], dtype=object),
            )
        )
    return found


def usual_s(line: Line, days: set[int]) -> Floats:
    """Return the mean of earlier days of a kind for each link of each run of ``days``, by the hour."""
    link_s = np.diff(line.passed_s, axis=1)
    tame_s = np.minimum(link_s, np.nanpercentile(link_s, 97, axis=0))
    usual = np.full_like(link_s, np.nan)
    for run in np.flatnonzero(np.isin(line.day, list(days))).tolist():
        past = (line.day < line.day[run]) & (line.working == line.working[run])
        if past.sum() < LEARN_LEAST:
            continue
        known = line.hour[run][np.isfinite(line.hour[run])]
        hour = np.where(np.isnan(line.hour[run]), known.mean() if len(known) else 12.0, line.hour[run])
        weight = np.nan_to_num(np.exp(-0.5 * ((line.hour[past] - hour) / KERNEL_H) ** 2)) * np.isfinite(tame_s[past])
        seen = np.isfinite(tame_s[past]).sum(axis=0)
        mean = np.where(seen > 0, np.nansum(tame_s[past], axis=0) / np.maximum(seen, 1), np.nan)
        usual[run] = ((weight * np.nan_to_num(tame_s[past])).sum(axis=0) + 2 * mean) / (weight.sum(axis=0) + 2)
    return usual


def surplus(link_s: Floats, usual: Floats, weight: Floats | float, lean_s: float) -> float:
    """Return by which share links took longer than usual, leaning on none."""
    known = np.isfinite(link_s) & np.isfinite(usual)
    over = np.clip(link_s, 0.3 * usual, 3.0 * usual) - usual
    weight = np.where(known, weight, 0.0)
    return float(np.nansum(weight * np.nan_to_num(over)) / (np.nansum(weight * np.nan_to_num(usual)) + lean_s))


def samples(line: Line, usual: Floats, span: int, days: set[int]) -> list[tuple[float, ...]]:
    """Return, per stretch of ``span`` stops driven: seconds, usual seconds, and shares by which others were slower."""
    link_s, passed = np.diff(line.passed_s, axis=1), line.passed_s
    found = []
    for run in np.flatnonzero(np.isin(line.day, list(days))).tolist():
        others = np.flatnonzero((line.day == line.day[run]) & (np.arange(len(line.day)) != run))
        mine = others[(line.vehicle[others] == line.vehicle[run]) & (others < run)]
        manner = surplus(link_s[mine], usual[mine], 1.0, 1_500.0)
        for begin in range(2, passed.shape[1] - span, 3):
            end, now_s = begin + span, passed[run, begin]
            base_s = usual[run, begin:end].sum()
            if not np.isfinite(now_s + passed[run, end] + base_s):
                continue
            stretch = slice(begin, end)
            age_s = now_s - passed[others][:, begin + 1 : end + 1]
            weight = np.where((age_s > 0) & (age_s < RECENT_S), 0.5 ** (age_s / RECENT_HALF_S), 0.0)
            recent = surplus(link_s[others][:, stretch], usual[others][:, stretch], weight, 600.0)
            pace = surplus(link_s[run, max(0, begin - 10) : begin], usual[run, max(0, begin - 10) : begin], 1.0, 400.0)
            ahead_s = passed[others, begin] - now_s
            following = others[(ahead_s > 0) & (ahead_s < NEXT_S) & np.isfinite(passed[others, end])]
            oracle = np.nan
            if len(following):
                after = following[np.argmin(passed[following, begin])]
                oracle = (passed[after, end] - passed[after, begin]) / usual[after, stretch].sum() - 1.0
            found.append((passed[run, end] - now_s, base_s, recent, pace, manner, oracle))
    return found


def least_error(seconds: Floats, columns: list[Floats]) -> float:
    """Return the least mean absolute error of ``seconds`` as a combination of ``columns``."""
    design, weight, error = np.column_stack(columns), np.ones(len(seconds)), seconds
    for _ in range(30):
        factors = np.linalg.lstsq(design * weight[:, None], seconds * weight, rcond=None)[0]
        error = seconds - design @ factors
        weight = 1.0 / np.sqrt(np.maximum(np.abs(error), 5.0))
    return float(np.abs(error).mean())


def main() -> None:
    """Print the floor for stretches of several lengths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("passings", type=Path, nargs="?", default=RECORDED)
    parser.add_argument("--test", default=RECORDED_TEST, metavar="DATE or FIRST..LAST")
    arguments = parser.parse_args()
    if not arguments.passings.exists():
        print("no recorded passings beside the project: name a file and its test days")
        return
    first, _, last = arguments.test.partition("..")
    bounds = [dt.date.fromisoformat(text).toordinal() for text in (first, last or first)]
    days = set(range(bounds[0], bounds[1] + 1))
    read = lines(arguments.passings)
    known = [usual_s(line, days) for line in read]
    print("mean absolute error in seconds of drives over so many stops, knowing one thing more in each column;")
    print("the last two: only those with a next bus within half an hour, and knowing what that one will need")
    heads = ("stops", "drives", "mean, s", "hour", "recent", "pace", "day", "the same", "next bus")
    print("".join(f"{head:>10}" for head in heads))
    for span in SPANS:
        rows = [row for line, usual in zip(read, known, strict=True) for row in samples(line, usual, span, days)]
        if len(rows) < 100:
            continue
        seconds, base_s, *shares = np.array(rows).T
        columns = [base_s, *(base_s * share for share in shares)]
        errors = [least_error(seconds, columns[:many]) for many in (1, 2, 3, 4)]
        seen = np.isfinite(columns[4])
        errors += [least_error(seconds[seen], [column[seen] for column in columns[:many]]) for many in (4, 5)]
        print(f"{span:10}{len(rows):10}{base_s.mean():10.0f}" + "".join(f"{error:10.1f}" for error in errors))


if __name__ == "__main__":
    main()
