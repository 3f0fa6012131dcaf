"use strict";
// What a board keeps in the browser for a time without its server: the timetable of its stops for today and tomorrow, and
// how the device's clock was wrong. Live rows are never kept.

const KEPT_PREFIX = "ayaldama.timetable.";
const KEPT_LOOK_MS = 60000;
const KEPT_FRESH_MS = 6 * 3600000; // then it is asked for again: a new feed may have come
const KEPT_MAX_MS = 2 * DAY_MS; // of stops that were looked at once
const KEPT_ASK_MAX_MS = 20000;
const KEPT_ROWS = 3;
const HORIZON_MS = 90 * MINUTE_MS; // nearer departures are rows, as the server has it

class Kept {
  constructor(clock) {
    this.clock = clock;
    this.held = new Map(); // stop id → {at_ms, stop, code, name, days: date → lines}
    this.asking = false;
  }

  start(feed) {
    setTimeout(() => {
      this.renew(feed);
      setInterval(() => this.renew(feed), KEPT_LOOK_MS);
    }, KEPT_LOOK_MS * Math.random() * 0.1);
  }

  /** Note the clocks, forget old timetables, and ask for the first one that is missing. */
  renew(feed) {
    const { clock } = this;
    if (!clock.known || feed.quality !== "live") return;
    const now = clock.now();
    kept("clock", JSON.stringify({ server_ms: now, device_ms: Date.now(), rate: clock.rate, offset_s: clock.offsetS }));
    this.sweep(now);
    const dates = [clock.day(now), clock.day(now + DAY_MS)];
    feed.stops.forEach((stop) => dates.forEach((date) => stop.known && this.want(stop, date, dates, now, feed)));
  }

  want(stop, date, dates, now, feed) {
    const held = this.of(stop.id);
    const day = held && held.days[date];
    if (this.asking || (day && Math.abs(now - day.at_ms) < KEPT_FRESH_MS * this.clock.rate)) return;
    this.asking = true;
    const request = new XMLHttpRequest();
    request.open("GET", `/api/stops/${encodeURIComponent(stop.id)}/timetable?date=${date}`);
    request.timeout = KEPT_ASK_MAX_MS;
    request.onloadend = () => {
      this.asking = false;
      if (request.status === 200 && this.take(stop.id, JSON.parse(request.responseText), dates, now)) this.renew(feed);
    };
    request.send();
  }

  take(stopId, answer, dates, now) {
    const before = this.of(stopId);
    const days = {};
    dates.forEach((date) => before && before.days[date] && (days[date] = before.days[date]));
    days[answer.date] = { at_ms: now, lines: answer.lines };
    const held = { at_ms: now, name: answer.name, code: answer.code, days: days };
    this.held.set(stopId, held);
    kept(`timetable.${stopId}`, JSON.stringify(held));
    return dates.indexOf(answer.date) >= 0;
  }

  of(stopId) {
    if (!this.held.has(stopId)) this.held.set(stopId, read(`timetable.${stopId}`));
    return this.held.get(stopId);
  }

  sweep(now) {
    if (this.swept) return;
    this.swept = true;
    keptNames(KEPT_PREFIX).forEach((name) => {
      const held = read(`timetable.${name}`);
      if (!held || !(Math.abs(now - held.at_ms) < KEPT_MAX_MS * this.clock.rate)) forgetKept(KEPT_PREFIX + name);
    });
  }

  /** A start without the server: time, names and timetable, as far as they are kept. */
  restore(feed) {
    this.clock.guess(read("clock"), Date.now());
    feed.stops.forEach((stop) => {
      const held = stop.known ? null : this.of(stop.id);
      if (held) Object.assign(stop, { known: true, name: held.name, code: held.code });
    });
  }

  /** The lines of a stop of which nothing is heard: what was known last, with the times of the timetable. */
  lines(stop) {
    const held = this.of(stop.id);
    const found = new Map(stop.lines);
    if (!held || !(this.clock.known || this.clock.guessed)) return found;
    const now = this.clock.now();
    const days = [now, now + DAY_MS].map((ms) => held.days[this.clock.day(ms)]);
    Object.keys(held.days).forEach((date) => {
      held.days[date].lines.forEach((line) => {
        const on = (day) => day && (day.lines.filter((one) => one.key === line.key)[0] || { departures_ms: [] });
        const [today, tomorrow] = days.map(on);
        if (!(found.get(line.key) || {}).kept) found.set(line.key, this.line(line, today, tomorrow, found.get(line.key), now));
      });
    });
    return found;
  }

  line(named, today, tomorrow, known, now) {
    const { key, route, destination, colour, text_colour } = named;
    const gone = ((known && known.arrivals) || []).filter((arrival) => arrival.state === "cancelled");
    const comes = (ms) => ms > now - NOW_MS && gone.every((arrival) => arrival.arrival_ms !== ms);
    const [rest, next] = [today, tomorrow].map((line) => (line ? line.departures_ms.filter(comes) : []));
    const runs = today && (today.departures_ms.length || (today.headways || []).length);
    const rows = rest.concat(next.filter((ms) => ms - now < HORIZON_MS));
    const headway = headwayOf(today, now);
    let state = runs ? "service_ended" : "no_service";
    if (!today) state = "no_data";
    else if (rows.length && (today.departures_ms[0] < now || rows[0] - now < HORIZON_MS)) state = "timetable";
    else if (headway) state = "headway";
    else if (rest.length) state = "before_first_trip";
    const timed = (ms) => ({ key: `|${ms}`, state: "timetable", arrival_ms: ms });
    return {
      kept: true,
      key: key,
      route: route,
      destination: destination,
      colour: colour,
      text_colour: text_colour,
      state: state,
      arrivals: state === "timetable" ? gone.concat(rows.slice(0, KEPT_ROWS).map(timed)) : gone,
      headway_s: headway,
      headway_planned: true,
      first_ms: rest.concat(next)[0],
    };
  }
}

/** The headway of a line at `now`, from and to, if it runs by headways; patterns together run more often. */
function headwayOf(line, now) {
  const often = ((line && line.headways) || [])
    .filter((window) => window.start_ms <= now && now < window.end_ms)
    .reduce((sum, window) => sum + 1 / window.headway_s, 0);
  return often ? [Math.round(1 / often), Math.round(1 / often)] : null;
}

function read(name) {
  try {
    return JSON.parse(kept(name));
  } catch (error) {
    return null; // somebody else's, or half written
  }
}

/** Remember a text as long as the browser lets us, or give it. */
function kept(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(`ayaldama.${name}`);
    localStorage.setItem(`ayaldama.${name}`, value);
  } catch (error) {
    // storage is switched off or full: it lasts as long as the page
  }
  return null;
}

function keptNames(prefix) {
  try {
    return Object.keys(localStorage).filter((name) => name.indexOf(prefix) === 0).map((name) => name.slice(prefix.length));
  } catch (error) {
    return [];
  }
}

function forgetKept(name) {
  localStorage.removeItem(name);
}
