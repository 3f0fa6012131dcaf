"use strict";
// What a line says to people who wait: a figure, a word for what it rests on, and what follows. Touches no page.

const NOW_MS = 30000; // nearer than that is "now"; so long a bus whose time has come is still shown
const MINUTE_MS = 60000;
const AS_CLOCK_MS = 60 * MINUTE_MS; // farther than that is a time of day
const UNSURE_MS = 3 * MINUTE_MS; // p10 to p90 wider than that and a quarter of the wait is marked "~"
const LATE_MIN = 2; // fewer minutes late or early are not worth a word
const HEARD_S = 25; // a bus "at the stop" stands there as long as the server says so
const PLAN_TRUSTED_S = 30 * 60; // "every 8–10 min" is believed for so long after the server was last heard

/** What one line says. `fresh`: live rows may be shown; `silentS`: since the server was last heard. */
class LineTeller {
  constructor(words, clock) {
    this.words = words;
    this.clock = clock;
    this.fresh = true;
    this.silentS = 0;
  }

  /** Arrivals that may be shown, in order of time. Of a bus that is no longer heard of, only its timetable remains. */
  arrivals(line) {
    const now = this.clock.now();
    return (line.arrivals || [])
      .map((arrival) => (isLive(arrival) && !this.fresh ? byTimetable(arrival) : arrival))
      .filter((arrival) => arrival.arrival_ms - now > -NOW_MS || (arrival.at_stop && this.silentS < HEARD_S))
      .sort((a, b) => a.arrival_ms - b.arrival_ms);
  }

  /**
   * Return `{state, figure, unit, kind, mark, due, phrase, note, gone}`: `mark` is the sign beside `kind`, `phrase` is
   * true where the figure is words, `gone` is the time of a cancelled bus, `accessible` of the first for wheelchairs.
   */
  tell(line) {
    const arrivals = this.arrivals(line);
    const first = arrivals.filter((arrival) => arrival.state !== "cancelled")[0];
    const cancelled = arrivals.filter((arrival) => arrival.state === "cancelled")[0];
    let said;
    if (first) said = isLive(first) ? this.live(line, first, arrivals) : this.planned(line, first, arrivals);
    else if (cancelled) return this.cancelled(cancelled);
    else said = this.quiet(line);
    if (cancelled) said.gone = this.clock.time(cancelled.arrival_ms);
    if (first) said.accessible = first.wheelchair === "accessible";
    return said;
  }

  live(line, first, arrivals) {
    const leftMs = first.arrival_ms - this.clock.now();
    const starting = first.state === "live_terminal";
    const kind = first.at_stop ? "at_stop" : starting ? "terminal" : "live";
    const said = saying("live", { kind: this.words.say(kind), mark: "live" });
    if (leftMs <= NOW_MS || (first.at_stop && !starting)) {
      said.figure = this.words.say("now");
      said.due = true;
    } else if (leftMs >= AS_CLOCK_MS) {
      said.figure = this.about(first) + this.clock.time(first.arrival_ms);
    } else {
      said.figure = this.about(first) + minutes(leftMs);
      said.unit = this.words.say("unit");
    }
    const following = this.following(line, first, arrivals);
    said.note = notes([this.access(first), this.room(first), this.delay(first), this.place(first), following]);
    return said;
  }

  planned(line, first, arrivals) {
    return saying("timetable", {
      figure: this.clock.time(first.arrival_ms),
      kind: this.words.say("timetable"),
      mark: "timetable",
      note: notes([this.access(first), this.following(line, first, arrivals)]),
    });
  }

  cancelled(arrival) {
    const time = this.clock.time(arrival.arrival_ms);
    return saying("cancelled", { figure: time, kind: this.words.say("cancelled"), mark: "cancelled" });
  }

  quiet(line) {
    const state = this.stillTrue(line);
    const { words, clock } = this;
    const said = saying(state, { figure: words.say("no_data"), phrase: true, mark: "none" });
    if (state === "headway") Object.assign(said, { figure: this.headway(line), note: this.planOf(line) });
    else if (state === "before_first_trip") said.figure = words.say("first", { time: clock.time(line.first_ms) });
    else if (state === "service_ended") said.figure = words.say("ended");
    else if (state === "no_service") said.figure = words.say("no_service");
    else if (state === "detour") Object.assign(said, { figure: words.say("detour"), note: words.say("detour_note") });
    if (line.first_ms && (state === "service_ended" || state === "no_service")) said.note = this.next(line.first_ms);
    return said;
  }

  /** The state of a line without arrivals, as far as it has not been overtaken by time. */
  stillTrue(line) {
    const overtaken = line.first_ms && line.first_ms < this.clock.now() - NOW_MS;
    const arrivals = line.arrivals && line.arrivals.length > 0;
    if ((line.state === "headway" || arrivals) && line.headway_s) {
      return line.kept || this.silentS < PLAN_TRUSTED_S ? "headway" : "no_data";
    }
    if (arrivals || overtaken || line.state === "live" || line.state === "timetable") return "no_data";
    return line.state === "before_first_trip" && !line.first_ms ? "no_data" : line.state;
  }

  headway(line) {
    const from = Math.max(1, Math.round(line.headway_s[0] / 60));
    const to = Math.max(from, Math.round(line.headway_s[1] / 60));
    if (from === to) return this.words.say("headway_one", { n: from });
    return this.words.say("headway", { from: from, to: to });
  }

  /** That a headway is the plan's, not what was seen at the stop. */
  planOf(line) {
    return line.headway_planned ? this.words.say("timetable") : "";
  }

  next(ms) {
    const days = this.clock.daysAhead(ms);
    const time = this.clock.time(ms);
    if (days === 0) return this.words.say("next_time", { time: time });
    const day = days === 1 ? this.words.say("tomorrow") : this.clock.date(ms);
    return this.words.say("next_day", { day: day, time: time });
  }

  /** How far away a bus on the road is. */
  place(arrival) {
    if (arrival.state !== "live" || arrival.at_stop) return "";
    if (arrival.stops_away === 0) return this.words.say("approaching");
    return arrival.stops_away ? this.words.count("stops", arrival.stops_away) : "";
  }

  /** How late or early a followed bus is, in whole minutes. */
  delay(arrival) {
    const n = Math.floor(Math.abs(arrival.delay_s || 0) / 60);
    return n < LATE_MIN ? "" : this.words.say(arrival.delay_s > 0 ? "late" : "early", { n: n });
  }

  /** That a bus takes no wheelchairs is a word, that it does a sign. */
  access(arrival) {
    return arrival.wheelchair === "inaccessible" ? this.words.say("inaccessible") : "";
  }

  /** How full a bus is, where that is worth knowing before it comes. */
  room(arrival) {
    const told = ["standing_room_only", "crushed_standing_room_only", "full"];
    if (told.indexOf(arrival.occupancy) < 0) return "";
    return this.words.say(`room_${arrival.occupancy}`);
  }

  /** What comes after `first`: minutes where buses are followed, times of day where there is only a plan. */
  following(line, first, arrivals) {
    const now = this.clock.now();
    const later = arrivals.filter((arrival) => arrival !== first && arrival.state !== "cancelled");
    const soon = later.filter((arrival) => isLive(arrival) && arrival.arrival_ms - now < AS_CLOCK_MS);
    const rest = later.filter((arrival) => soon.indexOf(arrival) < 0);
    const times = rest.map((arrival) => this.clock.time(arrival.arrival_ms)).join(", ");
    const ahead = soon.map((arrival) => this.about(arrival) + minutes(arrival.arrival_ms - now)).join(", ");
    const allPlanned = rest.every((arrival) => !isLive(arrival));
    return notes([
      ahead && this.words.say("then", { list: ahead }),
      times && this.words.say(allPlanned && isLive(first) ? "then_planned" : "then_at", { list: times }),
      !later.length && line.headway_s ? notes([this.headway(line), this.planOf(line)]) : "",
    ]);
  }

  about(arrival) {
    return arrival.state === "live_terminal" || this.unsure(arrival) ? "~" : "";
  }

  unsure(arrival) {
    if (!arrival.p10_ms || !arrival.p90_ms) return false;
    const leftMs = Math.max(0, arrival.arrival_ms - this.clock.now());
    return arrival.p90_ms - arrival.p10_ms > UNSURE_MS + leftMs / 4;
  }

  /** Lines in the order of their next bus; then those that run by headway; then the silent ones by number. */
  inOrder(lines) {
    const ranked = lines.map((line) => {
      const arrivals = this.arrivals(line);
      const first = arrivals.filter((arrival) => arrival.state !== "cancelled")[0] || arrivals[0];
      const rank = first ? first.arrival_ms : this.stillTrue(line) === "headway" ? 8e15 : 9e15;
      return { line: line, rank: rank, number: parseInt(line.route.replace(/\D/g, ""), 10) || 1e9 };
    });
    ranked.sort((a, b) => a.rank - b.rank || a.number - b.number || (a.line.key < b.line.key ? -1 : 1));
    return ranked.map((one) => one.line);
  }

  /** The line in a sentence, for those who listen. */
  spoken(line) {
    const said = this.tell(line);
    const about = /^~?(\d+)$/.exec(said.figure);
    const when = about && said.unit ? this.words.count("spoken_minutes", Number(about[1])) : said.figure;
    return this.words.say("spoken", {
      route: line.route,
      destination: this.words.name(line.destination),
      when: [when, said.kind].filter(Boolean).join(", "),
    });
  }
}

function isLive(arrival) {
  return arrival.state === "live" || arrival.state === "live_terminal";
}

/** What the timetable says of a live arrival; one that has no planned time is over. */
function byTimetable(arrival) {
  const { key, wheelchair } = arrival;
  return { key: key, wheelchair: wheelchair, state: "timetable", arrival_ms: arrival.scheduled_ms || 0 };
}

function minutes(leftMs) {
  return Math.max(1, Math.floor(leftMs / MINUTE_MS));
}

function notes(parts) {
  return parts.filter(Boolean).join(" · ");
}

function saying(state, more) {
  const empty = { figure: "", unit: "", kind: "", mark: "none", due: false, phrase: false, note: "", gone: "", accessible: false };
  return Object.assign(empty, { state: state }, more);
}
