"""Tuned constants of tracking: unit, value, reason, source. What an operator chooses is in the settings instead."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Every number that tracking was tuned with. Lengths in metres, times in seconds, speeds in m/s."""

    # clean
    future_max_s: float = 300.0  # a device clock further ahead than this is broken, not skewed
    stale_max_s: float = 600.0  # an older fix says nothing of where the bus is now; it is history
    jump_speed_mps: float = 45.0  # 160 km/h: no bus
    jump_free_m: float = 200.0  # GPS reflections move a standing bus this far: judged by matching, not by speed
    jumps_until_believed: int = 3  # then the place before was the wrong one
    surroundings_m: float = 30_000.0  # around the network: depots and detours lie within, other cities do not

    # match
    noise_m: float = 15.0  # one sigma of place across the line: GPS and where the line was drawn
    candidate_m: float = 60.0  # a vehicle further from a line is not on it (TransitClock uses the same)
    speed_max_mps: float = 30.0  # how far ahead a window reaches for each second since the last fix
    window_back_m: float = 200.0  # it may have been taken for further on than it is, by that much
    window_ahead_m: float = 80.0
    heading_speed_mps: float = 1.5  # below it a GPS course is noise (TransitClock minSpeedForValidHeading)
    course_move_m: float = 20.0  # a displacement below this has no direction
    wrong_way_cost: float = 6.0  # in units of half squared sigmas: as much as 3.5 sigmas of distance
    window_max_s: float = 600.0  # after a longer gap the vehicle is looked for anew

    # assign: log-odds of each hypothesis against "none of them"
    slots: int = 24  # hypotheses kept per vehicle: patterns that share a street in the centre of a city
    odds_sow: float = 0.5  # no hypothesis above it: new ones are looked for
    null_gap_m: float = 45.0  # a fix this far from the line speaks neither for nor against it
    evidence_sigma_m: float = 22.0
    evidence_full_move_m: float = 40.0  # a standing bus brings no new evidence; this much movement brings all of it
    evidence_min: float = -3.0  # one outlier must not undo a run
    evidence_max: float = 2.0
    odds_max: float = 6.0  # bounded, so that two or three bad fixes can undo any belief
    odds_drop: float = -2.5
    odds_assign: float = 1.5
    odds_lead: float = 1.5  # over the best hypothesis of another route or direction
    odds_hysteresis: float = 2.0  # what the present assignment is given against a new one
    progress_min_m: float = 120.0  # direction is proven by progress along the line
    progress_hinted_m: float = 40.0  # where the feed already names route and direction
    progress_midway_m: float = 3_000.0  # vehicles from and to depots follow a line for a while that they do not serve …
    stops_midway: int = 5  # … nor does a motorway: between stops all buses look alike
    pace_midway: float = 0.8  # … and need less than this of its time: of buses in service, 1 in 10 is so quick
    pace_empty: float = 0.6  # of the planned time: of runs in Washington and Austin 3 in 100 are so quick …
    pace_empty_s: float = 300.0  # … over so much of the plan …
    pace_empty_long_s: float = 900.0  # … and less than 1 in 100 over so much: what is believed is then given up
    midway_odds: float = 1.5  # runs begin at first stops: what a vehicle seen before counts less for, on the way
    unseen_odds: float = 0.2  # a run near its end would have been seen before, one that just began would not
    known_m: float = 500.0  # a vehicle followed for so far …
    known_s: float = 120.0  # … or so long has been seen before: longer than a red light
    fit_s: float = 300.0  # of lateness: e times less likely (the wait for a bus in a city varies by about this)
    fit_max: float = 4.0
    lead_long_m: float = 5_000.0  # having followed a line for so far, a vehicle …
    lead_least: float = 0.3  # … is believed on the likeliest by this lead: another line is not that much like it
    odds_told: float = 2.0  # what the feed says of a vehicle is mostly right
    astray_m: float = 1_000.0  # driven nowhere near what the feed says: it may be wrong
    progress_astray_m: float = 3_000.0  # … and is, when the vehicle follows another line for so far
    reseed_s: float = 15.0  # an unassigned vehicle is looked for anew at most this often …
    reseed_move_m: float = 60.0  # … and only after it moved
    terminal_m: float = 250.0  # a vehicle this near a first stop may be waiting for a run (TransitClock: 100 m; our
    # terminals are yards, the recorded buses wait up to 250 m off)
    departed_m: float = 80.0  # beyond the first stop: the run has begun
    back_m: float = 40.0  # standing so near the first stop for ``delayed_s``, it has not begun after all
    finished_m: float = 40.0  # before the last stop: the run is over
    ended_s: float = 120.0  # … when it stands there, or crept for so long
    leave_late_s: float = 480.0  # a bus that leaves later than this may be the next departure
    bad_fixes_off_route: int = 3  # > candidate_m from the line (TransitClock: 2, gtfs-eta: 3)
    off_route_m: float = 3_000.0  # driven since it left its line: it is not on its way back
    parked_s: float = 900.0  # standing for so long, away from all terminals: at a depot …
    parked_anywhere_s: float = 5_400.0  # … or wherever it is: no layover is that long
    run_late_max_s: float = 5_400.0  # a run later than this is another run
    no_service_s: float = 21_600.0  # a told trip is on a day of service, unless that would be so much further off
    run_early_max_s: float = 1_800.0
    early_weight: float = 3.0  # earliness is that much less likely than lateness (TransitClock earlyToLateRatio)

    # detours
    detour_min_m: float = 150.0  # of line left out: less is a yard or a lay-by beside it
    detour_apart_m: float = 300.0  # places at which vehicles left their line are one: fixes are mostly nearer …
    detour_reach_max_m: float = 1_000.0  # … where they are not, as far as the next one may lie, but no further
    detour_overlap: float = 0.5  # of the shorter: stretches left out are one, each reaches a little too far
    detour_within_s: float = 1_200.0  # vehicles that leave at one place within 20 minutes (busones: the same) …
    detour_whole_s: float = 3_600.0  # … or an hour, where the first is known to have come back: lines that run rarely
    detour_vehicles: int = 2  # one alone is lost, or has its own reason
    detour_passes: int = 2  # vehicles that drive the regular way: one puts a detour in doubt, the second ends it
    detour_pass_m: float = 400.0  # driven on from where others left: the way is free there
    detour_rest_s: float = 7_200.0  # nobody came by, as at night: not sure until the next vehicle shows it
    detour_forget_s: float = 86_400.0  # nobody came by for a day: over
    detour_standing_s: float = 86_400.0  # no street works on one line only, so long: the line is drawn wrongly
    detour_spread_s: float = 45.0  # one sigma of the time a detour takes: signals and queues that nobody has learned …
    detour_spread_share: float = 0.2  # … and of what it takes longer
    excursion_max_s: float = 1_800.0  # a vehicle that is not back on its line by then does something else
    stop_near_m: float = 50.0  # a stop this near to the way driven was served: less than ``candidate_m``

    # observe
    stop_zone_m: float = 20.0  # a vehicle within this beyond the stop has not left it
    stop_reach_m: float = 2.0  # a vehicle within this before the stop has arrived: further off it may still queue
    passage_gap_max_s: float = 300.0  # fixes further apart say too little about the stops between

    # running times: how much seen lately it takes to be believed, in seconds of driving
    city_half_life_s: float = 14_400.0  # weather and holidays hold for hours
    line_half_life_s: float = 7_200.0
    link_half_life_s: float = 3_600.0  # traffic of an hour ago counts half
    city_lean_s: float = 5_000.0
    line_lean_s: float = 5_000.0
    link_lean_s: float = 10_000.0  # two recorded cities: less follows the noise of single buses
    pace_half_life_s: float = 1_200.0  # a driver's pace: of twenty minutes ago counts half …
    pace_lean_s: float = 4_000.0  # … about a quarter of it is believed …
    pace_ahead_s: float = 600.0  # … and less for later: it goes back to the driver's manner within so long
    manner_half_life_s: float = 10_800.0  # a driver's manner lasts a shift …
    manner_lean_s: float = 8_000.0  # … and is known after some runs (two recorded cities: 0.2 to 0.7 of it holds)
    pace_outlier: float = 2.5  # times the expected: a stop for fuel is not a pace
    link_outlier: float = 4.0  # times the expected: a breakdown, not traffic
    usual_half_life_s: float = 14 * 86_400.0  # what is usual changes with the seasons
    learned_weight_max: float = 40.0  # runs: no past counts more than this
    since_share: float = 3.0  # runs: a link known by so many keeps half of what today adds
    timetable_weight: float = 2.0  # the plan counts as this many observed runs …
    template_weight: float = 0.3  # … but without a timetable its times are only a shape
    dwell_share: float = 0.2  # of a link's time, where no dwell was seen …
    dwell_max_s: float = 20.0  # … and at most this
    dwell_weight: float = 3.0
    link_spread_share: float = 0.3  # one sigma of a single run over a link, where none was seen
    link_spread_s: float = 8.0
    link_spread_weight: float = 4.0

    # predict
    horizon_s: float = 3_600.0
    horizon_rows: int = 128
    stale_s: float = 180.0  # no live prediction from an older fix (GTFS-Realtime best practice: 90 s old is stale)
    gone_s: float = 1_800.0  # then the vehicle leaves the map
    layover_s: float = 300.0  # between runs where nothing is known
    layover_min_s: float = 60.0
    departure_within_s: float = 920.0  # a departure that cannot be told within this (p10 to p90) is not said
    departure_overdue_s: float = 600.0  # so long after its time a bus that stands at its terminal is promised no more
    delayed_s: float = 480.0  # standing this long outside a terminal: withdraw rather than repeat a guess
    delayed_move_m: float = 60.0
    held_after_s: float = 60.0  # longer than a stop or a light: a bus that stands for so long is held up by something …
    held_share: float = 0.45  # … and half of those are, for this share of the time beyond that they have been
    wait_early_s: float = 120.0  # a bus this early shows whether the drivers wait there for their time …
    wait_left_s: float = 90.0  # … having waited, it is no earlier than this
    wait_timed: float = 0.6  # share of early buses thought to wait at a timing point, before any was seen
    wait_anywhere: float = 0.3
    wait_weight: float = 2.0  # runs
    recovery_early: float = (
        1 / 3_000
    )  # share of its earliness that a bus loses each second: drivers wait for their time
    recovery_late: float = 0.0  # share of its lateness that it makes up: there is little to gain
    recovery_weight: float = 1e11  # s⁴: about 300 passages that were two or three minutes off
    recovery_rate_max: float = 1 / 240
    recovery_apart_s: float = 180.0  # how old a deviation is that explains a new one: errors of one fix are not both
    recovery_max_s: float = 300.0  # a bus further off its plan is on another one
    early_max_s: float = 420.0  # no bus runs further ahead of its time than this: it waits somewhere
    spread_floor_s: float = 15.0  # one sigma of a bus about to arrive
    spread_share: float = 0.08  # of the time ahead, one sigma: what makes all links ahead slower at once
    spread_terminal_s: float = 90.0  # one sigma of a departure from a terminal

    # said
    due_s: float = (
        12.0  # a bus that has probably just passed a stop, unseen, is said to have come so long ago at most …
    )
    overdue_s: float = 30.0  # … and while nothing new is heard of it, as what was said ages
    renew_s: float = 60.0  # what is said of a vehicle unheard is looked at anew so often
    calm_share: float = 0.9  # of the time that passes, what is said of an arrival may move later by this …
    calm_rise_s: float = 55.0  # … and at most by this at once: minutes left never grow by one in a minute
    calm_max_s: float = 150.0  # an estimate that much later is said at once …
    calm_max_share: float = 0.3  # … or this share of the time ahead

    # changes
    publish_step_s: float = 5.0  # a board shows minutes: less is not seen
    publish_share: float = 0.04  # of the time ahead
