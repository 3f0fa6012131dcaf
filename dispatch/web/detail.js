// The card of what was clicked: a vehicle with the stops ahead of it, a stop with the way to its board, or a detour.

const AHEAD_SHOWN = 6;
const PASSED_MS = 15_000; // a stop stays in the list for so long after its time

export class Detail {
  /** @param {{root: HTMLElement, words: object, city: object, closed: () => void, stopChosen: (id: string) => void}} parts */
  constructor({ root, words, city, closed, stopChosen }) {
    this.root = root;
    this.words = words;
    this.city = city;
    this.stopChosen = stopChosen;
    this.ahead = [];
    this.kind = "";
    root.querySelector("[data-close]").addEventListener("click", closed);
    this.head = root.querySelector(".card-head");
    this.facts = root.querySelector(".card-facts");
    this.aheadBox = root.querySelector(".card-ahead");
    this.foot = root.querySelector(".card-foot");
  }

  hide() {
    this.root.hidden = true;
    this.kind = "";
    this.ahead = [];
  }

  showVehicle(vehicle, nowMs, doing = `phase.${vehicle.phase}`) {
    const { words, city } = this;
    if (this.kind !== `vehicle ${vehicle.id}`) {
      this.kind = `vehicle ${vehicle.id}`;
      this.ahead = [];
    }
    const route = city.route(vehicle.route);
    this.heading(words.say("vehicle.bus", { id: vehicle.id }), route, words.say(doing), vehicle.phase);
    const headsign = words.name(city.pattern(vehicle.pattern)?.headsign);
    const next = vehicle.next_stop ? words.name(city.stop(vehicle.next_stop)?.name) || vehicle.next_stop : "";
    const assigned = vehicle.phase === "in_service" || vehicle.phase === "layover";
    this.list([
      ["vehicle.towards", headsign],
      ["vehicle.next_stop", next && vehicle.next_ms ? `${next} · ${words.until(vehicle.next_ms, nowMs)}` : next],
      ["vehicle.against_timetable", assigned ? words.deviation(vehicle.deviation_s) : "", lateness(vehicle.deviation_s)],
      ["vehicle.occupancy", vehicle.occupancy ? words.say(`occupancy.${vehicle.occupancy}`) : ""],
      ["vehicle.speed", vehicle.speed_mps === undefined ? "" : words.say("time.kmh", { n: Math.round(vehicle.speed_mps * 3.6) })],
      ["vehicle.position_age", words.age((nowMs - vehicle.fix_ms) / 1000)],
    ]);
    this.aheadBox.hidden = this.ahead.length === 0;
    this.aheadBox.querySelector("h3").textContent = words.say("vehicle.expected");
    this.showAhead(nowMs);
    this.foot.replaceChildren();
    this.root.hidden = false;
  }

  /** Rows of the same stops are rewritten in place: a button that has the focus keeps it. */
  showAhead(nowMs) {
    const ahead = this.ahead.filter((stop) => stop.arrival_ms > nowMs - PASSED_MS).slice(0, AHEAD_SHOWN);
    const list = this.aheadBox.querySelector("ol");
    const key = `${this.kind} ${this.words.language} ${ahead.map((stop) => stop.stop).join()}`;
    if (key !== list.dataset.key) {
      list.dataset.key = key;
      list.replaceChildren(...ahead.map((stop) => this.aheadRow(stop)));
    }
    ahead.forEach((stop, i) => {
      const [time, range] = list.children[i].querySelectorAll(".ahead-when span");
      time.textContent = this.words.until(stop.arrival_ms, nowMs);
      const [from, to] = [stop.arrival_p10_ms, stop.arrival_p90_ms].map((ms) => this.words.clockTime(ms));
      range.textContent = from === to ? from : this.words.say("time.between", { from, to });
    });
  }

  aheadRow(stop) {
    const row = document.createElement("li");
    const name = document.createElement("button");
    name.type = "button";
    name.textContent = this.words.name(this.city.stop(stop.stop)?.name) || stop.stop;
    name.addEventListener("click", () => this.stopChosen(stop.stop));
    const when = document.createElement("div");
    when.className = "ahead-when";
    for (const className of ["ahead-time", "ahead-range"]) {
      const part = document.createElement("span");
      part.className = className;
      when.append(part);
    }
    row.append(name, when);
    return row;
  }

  showStop(stop) {
    const { words, city } = this;
    this.kind = `stop ${stop.id} ${words.language}`;
    this.heading(words.name(stop.name), undefined, stop.code ? words.say("stop.code", { code: stop.code }) : "", "");
    this.list([]);
    this.aheadBox.hidden = true;
    const badges = document.createElement("p");
    badges.className = "badges";
    badges.setAttribute("aria-label", words.say("stop.routes"));
    for (const id of stop.routes) badges.append(routeBadge(city.route(id)), " ");
    const link = document.createElement("a");
    link.className = "button";
    link.href = `/board/${encodeURIComponent(stop.id)}?lang=${words.language}`;
    link.textContent = words.say("stop.open_board");
    this.foot.replaceChildren(badges, link);
    this.root.hidden = false;
  }

  /** The stops left out are buttons, so that their boards are one click away. */
  showDetour({ chosen: detour, teller }, nowMs) {
    const { words } = this;
    const key = `detour ${detour.id} ${words.language} ${JSON.stringify(detour)}`;
    const facts = teller.facts(detour, nowMs);
    if (this.kind === key) return this.list(facts);
    this.kind = key;
    this.heading(words.say("detour.title"), undefined, teller.state(detour), detour.state === "confirmed" ? "off_route" : "");
    this.list(facts);
    this.aheadBox.hidden = true;
    const badges = document.createElement("p");
    badges.className = "badges";
    const routes = [...new Set(detour.lines.map((line) => line.route))];
    badges.append(...routes.map((route) => routeBadge(this.city.route(route))));
    const stops = document.createElement("ul");
    stops.className = "missed";
    stops.setAttribute("aria-label", words.say("detour.missed"));
    for (const id of detour.missed ?? []) stops.append(this.missedStop(id));
    const note = document.createElement("p");
    note.className = "card-note";
    note.textContent = words.say(`detour_meaning.${detour.standing ? "standing" : detour.state}`);
    this.foot.replaceChildren(stops, badges, note);
    this.root.hidden = false;
  }

  missedStop(id) {
    const item = document.createElement("li");
    const name = document.createElement("button");
    name.type = "button";
    name.textContent = this.words.name(this.city.stop(id)?.name) || id;
    name.addEventListener("click", () => this.stopChosen(id));
    item.append(name);
    return item;
  }

  heading(title, route, note, phase) {
    const text = document.createElement("h2");
    text.textContent = title;
    const below = document.createElement("p");
    below.textContent = note;
    if (phase) below.dataset.phase = phase;
    const words = document.createElement("div");
    words.append(text, below);
    this.head.replaceChildren(...(route ? [routeBadge(route)] : []), words);
  }

  list(facts) {
    const rows = facts
      .filter(([, value]) => value)
      .flatMap(([key, value, mark]) => {
        const term = document.createElement("dt");
        term.textContent = this.words.say(key);
        const meaning = document.createElement("dd");
        meaning.textContent = value;
        if (mark) meaning.dataset.late = mark;
        return [term, meaning];
      });
    this.facts.replaceChildren(...rows);
  }
}

/** How a deviation is coloured: late from 3 minutes, early from 1, as passengers feel it. */
export function lateness(seconds) {
  if (seconds === undefined || seconds === null) return "";
  if (seconds >= 180) return "late";
  return seconds <= -60 ? "early" : "on-time";
}

export function routeBadge(route) {
  const badge = document.createElement("span");
  badge.className = "route-badge";
  badge.textContent = route?.name ?? "–";
  if (route) {
    badge.style.setProperty("--badge", route.colour);
    badge.style.setProperty("--on-badge", route.text_colour);
  }
  return badge;
}
