// The front door: the city as a small living sketch, the figures of the demo, a few boards, and commands to copy.

import { Words, firstLanguage, languageSwitch } from "/static/map/words.js";

const SKETCH = { width: 440, height: 330, margin: 14 };
const SKETCH_POINTS_MAX = 60_000;
const BUSES_EVERY_MS = 3_000;
const FIGURES_EVERY_MS = 2_000;
const BOARDS_EVERY_MS = 10_000;
const FIGURES_OLD_S = 20;
const ROWS_SHOWN = 4;
const DUE_MS = 30_000;
const AS_CLOCK_MS = 60 * 60_000;
const FOUND_MAX = 8;

const element = (id) => document.getElementById(id);
const svg = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);

async function fetchJson(address, options) {
  const answer = await fetch(address, options);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

async function untilAnswered(address) {
  for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 3_000)) {
    try {
      return await fetchJson(address);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Do `work` now and every `everyMs`, one at a time and only while the page is seen. */
function repeat(work, everyMs) {
  const step = async () => {
    if (!document.hidden) {
      try {
        await work();
      } catch {
        // the server is away for a moment: what is shown stays, and its age tells
      }
    }
    setTimeout(step, everyMs);
  };
  step();
}

function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// The sketch: all lines of the city, and the buses on them --------------------------------------------------------

class Sketch {
  constructor(root, network) {
    this.root = root;
    this.colours = new Map(network.routes.map((route) => [route.id, route.colour]));
    const lines = network.features.filter((feature) => feature.properties.kind === "line");
    const points = lines.reduce((sum, line) => sum + line.geometry.coordinates.length, 0);
    this.place = this.fit(network.bounds);
    if (points <= SKETCH_POINTS_MAX) for (const line of lines) this.drawLine(line);
    this.buses = new Map();
  }

  fit([west, south, east, north]) {
    const narrow = Math.cos((((south + north) / 2) * Math.PI) / 180);
    const { width, height, margin } = SKETCH;
    const scale = Math.min((width - 2 * margin) / ((east - west) * narrow || 1), (height - 2 * margin) / (north - south || 1));
    const left = (width - (east - west) * narrow * scale) / 2;
    const top = (height - (north - south) * scale) / 2;
    return ([lon, lat]) => [left + (lon - west) * narrow * scale, top + (north - lat) * scale];
  }

  drawLine(line) {
    const path = svg("path");
    const places = line.geometry.coordinates.map((coordinates) => this.place(coordinates).map((v) => v.toFixed(1)).join(" "));
    path.setAttribute("d", `M${places.join("L")}`);
    path.setAttribute("stroke", line.properties.colour);
    this.root.append(path);
  }

  showBuses(vehicles) {
    const seen = new Set();
    for (const vehicle of vehicles) {
      if (vehicle.phase === "silent") continue;
      seen.add(vehicle.id);
      let dot = this.buses.get(vehicle.id);
      if (!dot) {
        dot = svg("circle");
        dot.setAttribute("r", "4.2");
        this.buses.set(vehicle.id, dot);
        this.root.append(dot);
      }
      const [x, y] = this.place([vehicle.lon, vehicle.lat]);
      dot.setAttribute("fill", this.colours.get(vehicle.route) ?? "var(--quiet)");
      dot.style.cx = `${x.toFixed(1)}px`;
      dot.style.cy = `${y.toFixed(1)}px`;
    }
    for (const [id, dot] of this.buses) {
      if (!seen.has(id)) {
        dot.remove();
        this.buses.delete(id);
      }
    }
  }
}

// The figures ---------------------------------------------------------------------------------------------------------

class Figures {
  constructor(words) {
    this.words = words;
    this.last = null;
  }

  take(answer) {
    this.last = answer;
    this.show();
  }

  show() {
    if (!this.last) return;
    const { figures, server_ms: nowMs } = this.last;
    const { words } = this;
    element("no-figures").hidden = Boolean(figures);
    write(element("no-figures"), words.say("now.none"));
    element("figures").hidden = !figures;
    element("errors").hidden = !figures;
    write(element("age"), "");
    if (!figures) return;
    if (figures.as_of_ms) this.showAge((nowMs - figures.as_of_ms) / 1000, figures.as_of_ms);
    this.figure("buses", number(figures.buses));
    this.figure("positions", number(figures.positions_per_s));
    const delay = figures.fix_to_board_ms;
    this.figure("delay", delay && words.say("now.ms", { n: number(delay.p50) }), delay && this.p99(delay.p99));
    this.figure("within", known(figures.within_bounds_pct) ? `${number(figures.within_bounds_pct)} %` : undefined);
    this.showErrors(figures.mae_s_by_horizon);
    this.showFares(figures, this.last.fares);
    this.showGuest(figures.guest);
  }

  /** Taps as the validators answered them, money as the books have it, and doors to both sides of a check. */
  showFares(figures, money) {
    const { taps, fares: shown, fare_port: port, phone_port: phonePort, sms_port: smsPort } = figures;
    const { words } = this;
    element("fares").hidden = !taps;
    if (!taps) return;
    const green = known(taps.green_pct) && words.say("fares.green", { n: number(taps.green_pct) });
    this.figure("taps", number(taps.taps_per_minute), green);
    this.figure("revenue", money ? tenge(money.revenue_tiyn) : undefined);
    this.figure("subsidy", money ? tenge(money.subsidy_tiyn) : undefined);
    this.figure("denied", money ? number(money.denied) : undefined);
    const here = `${location.protocol}//${location.hostname}`;
    element("validator-way").hidden = !taps.screen_port;
    element("open-validator").href = `${here}:${taps.screen_port}/?lang=${words.language}`;
    write(element("open-validator"), words.say("fares.validator", { id: taps.screen_vehicle }));
    element("sms-way").hidden = !smsPort;
    element("open-sms").href = `${here}:${smsPort}/sms/emulator?lang=${words.language}`;
    write(element("sms-text"), words.say("fares.sms_text", { id: taps.screen_vehicle }));
    for (const way of ["phone-way", "inspector-way", "books-way"]) element(way).hidden = !shown;
    if (!shown) return;
    element("open-phone").href = `${here}:${phonePort}/phone/?lang=${words.language}`;
    write(element("phone-text"), words.say("fares.phone_text", { phone: shown.phone }));
    const scanned = shown.bus_paths[taps.screen_vehicle];
    element("open-bus-qr").hidden = !scanned;
    element("open-bus-qr").href = `${here}:${phonePort}${scanned}`;
    write(element("open-bus-qr"), words.say("fares.bus_qr", { id: taps.screen_vehicle }));
    element("open-inspector").href = `${here}:${port}/inspector/?lang=${words.language}`;
    const check = { person: shown.inspector, pin: shown.pin, id: taps.screen_vehicle, code: shown.check_codes.adult };
    write(element("inspector-text"), words.say("fares.inspector_text", check));
    element("open-books").href = `${here}:${port}/books/?lang=${words.language}`;
    write(element("books-text"), words.say("fares.books_text", { person: shown.accountant, password: shown.password }));
  }

  showAge(ageS, asOfMs) {
    const { words, last } = this;
    const fast = last.rate !== 1 ? ` ${words.say("now.rate", { n: number(last.rate) })}` : "";
    const old = ageS / last.rate > FIGURES_OLD_S;
    const said = old ? words.say("now.old", { time: words.clockTime(asOfMs, true) }) : words.say("now.age", { n: Math.max(0, Math.round(ageS)) });
    write(element("age"), said + fast);
  }

  p99(ms) {
    if (!known(ms)) return undefined;
    return this.words.say("now.delay_p99", { n: this.words.say("now.ms", { n: number(ms) }) });
  }

  figure(name, value, small) {
    const box = document.querySelector(`[data-figure="${name}"]`);
    box.hidden = value === undefined;
    const [large, below] = box.querySelectorAll("dd");
    write(large, value ?? "");
    if (below) write(below, small ?? "");
  }

  showErrors(errors) {
    const entries = Object.entries(errors ?? {}).filter(([, seconds]) => known(seconds));
    element("errors").hidden = entries.length === 0;
    const longest = Math.max(...entries.map(([, seconds]) => seconds), 1);
    const rows = entries.map(([range, seconds]) => {
      const row = make("li");
      const bar = make("span", "bar");
      const filled = make("i");
      filled.style.width = `${(100 * seconds) / longest}%`;
      bar.append(filled);
      row.append(
        make("span", "", this.words.say("now.horizon", { range: range.replace("-", "–") })),
        bar,
        make("b", "", this.words.say("now.s", { n: number(seconds) })),
      );
      return row;
    });
    document.querySelector("#errors ol").replaceChildren(...rows);
  }

  /** The command of "be a bus", with the time that the city has now. */
  showGuest(guest) {
    element("send").hidden = !guest;
    element("send-where").hidden = Boolean(guest);
    if (!guest) return;
    const { rate, server_ms: nowMs } = this.last;
    const aheadS = Math.round((nowMs - Date.now()) / 1000);
    let time = "$(date +%s)";
    if (rate !== 1) time = String(Math.round(nowMs / 1000));
    else if (Math.abs(aheadS) > 5) time = `$(( $(date +%s) ${aheadS < 0 ? "-" : "+"} ${Math.abs(aheadS)} ))`;
    const [lon, lat] = this.centre ?? [0, 0];
    const query = `id=${guest.device_id}&key=${guest.key}&lat=${lat.toFixed(5)}&lon=${lon.toFixed(5)}&timestamp=${time}`;
    const command = `curl -i "http://${location.hostname}:${guest.port}/?${query}"`;
    if (rate !== 1 || !this.guestShown) write(element("send-command"), command);
    this.guestShown = Boolean(this.centre);
  }
}

const tenge = (tiyn) => `${number(Math.round(tiyn / 100))} ₸`;
const known = (value) => value !== undefined && value !== null;

function number(value) {
  if (!known(value)) return undefined;
  const digits = Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0;
  const text = new Intl.NumberFormat("ru", { maximumFractionDigits: digits }).format(value);
  return document.documentElement.lang === "en" ? text.replace(",", ".") : text; // thousands are set off by spaces in all
}

// The boards ---------------------------------------------------------------------------------------------------------

class BoardCard {
  constructor(stop, routes, words) {
    this.stop = stop;
    this.routes = routes;
    this.words = words;
    this.link = make("a", "board-card");
    this.title = make("h3");
    this.name = make("b");
    this.go = make("span");
    this.title.append(this.name, this.go);
    this.rows = make("ol");
    this.quiet = make("p", "quiet-line");
    this.link.append(this.title, this.rows, this.quiet);
    this.item = make("li");
    this.item.append(this.link);
    this.answer = undefined;
  }

  async refresh() {
    try {
      this.answer = await fetchJson(`/api/stops/${encodeURIComponent(this.stop.id)}/board`);
    } catch {
      this.answer = null;
    }
    this.show();
  }

  show() {
    const { words } = this;
    this.link.href = `/board/${encodeURIComponent(this.stop.id)}?lang=${words.language}`;
    write(this.name, words.name(this.stop.name));
    write(this.go, `${words.say("boards.open")} ›`);
    const arrivals = arrivalsOf(this.answer).slice(0, ROWS_SHOWN);
    this.rows.replaceChildren(...arrivals.map((arrival) => this.row(arrival)));
    this.quiet.hidden = this.answer === undefined || arrivals.length > 0;
    write(this.quiet, words.say(quietOf(this.answer)));
  }

  row(arrival) {
    const row = make("li");
    const badge = make("span", "route-badge", arrival.route);
    const route = this.routes.find((one) => one.id === arrival.routeId || one.name === arrival.route);
    if (route) {
      badge.style.setProperty("--badge", route.colour);
      badge.style.setProperty("--on-badge", route.text_colour);
    }
    const when = make("span", "when", this.when(arrival));
    when.dataset.live = arrival.live ? "yes" : "no";
    if (!arrival.live && !arrival.headway) when.title = this.words.say("boards.scheduled");
    row.append(badge, make("span", "to", this.words.name(arrival.headsign)), when);
    return row;
  }

  when({ ms, leftMs, live, headway, first }) {
    const { words } = this;
    if (headway) {
      const [from, to] = headway;
      return from === to ? words.say("boards.headway_one", { n: from }) : words.say("boards.headway", { from, to });
    }
    if (first) return words.say("boards.first", { time: words.clockTime(ms) });
    if (!live || leftMs >= AS_CLOCK_MS) return words.clockTime(ms);
    if (leftMs <= DUE_MS) return words.say("boards.due");
    return words.say("boards.minutes", { n: Math.max(1, Math.floor(leftMs / 60_000)) });
  }
}

/** What the preview needs of the answer of a board: buses by time, then lines that run by headway, then the rest. */
function arrivalsOf(answer) {
  const lines = answer ? answer.board.lines : [];
  return lines.flatMap((line) => rowsOf(line, answer.server_ms)).sort((a, b) => a.leftMs - b.leftMs);
}

function rowsOf(line, nowMs) {
  const row = { route: line.route, routeId: line.route_id, headsign: line.destination, live: false };
  const coming = (line.arrivals ?? []).filter((arrival) => arrival.state !== "cancelled");
  if (coming.length > 0) {
    return coming.map(({ arrival_ms: ms, state }) => ({ ...row, ms, leftMs: ms - nowMs, live: state.startsWith("live") }));
  }
  if (line.state === "headway") return [{ ...row, leftMs: Infinity, headway: line.headway_s.map((s) => Math.round(s / 60)) }];
  if (line.state === "before_first_trip" && line.first_ms) {
    return [{ ...row, ms: line.first_ms, leftMs: line.first_ms - nowMs, first: true }];
  }
  return [];
}

/** Which sentence stands for a board without rows. */
function quietOf(answer) {
  if (!answer) return "boards.unavailable";
  const states = new Set(answer.board.lines.map((line) => line.state));
  return states.size === 1 && states.has("service_ended") ? "boards.ended" : "boards.no_arrivals";
}

class StopSearch {
  constructor(words) {
    this.words = words;
    this.input = element("find");
    this.found = element("found");
    this.asked = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search(), 180);
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.found.querySelector("a")?.click();
      if (event.key === "Escape") this.found.hidden = true;
      if (event.key === "ArrowDown") this.found.querySelector("a")?.focus();
    });
    this.found.addEventListener("keydown", (event) => this.walk(event));
    document.addEventListener("click", (event) => {
      if (!event.target.closest(".find")) this.found.hidden = true;
    });
  }

  walk(event) {
    const item = event.target.closest("li");
    const to = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling }[event.key];
    if (!to) return;
    event.preventDefault();
    to.firstElementChild.focus();
  }

  async search() {
    const query = this.input.value.trim();
    const asked = ++this.asked;
    if (!query) {
      this.found.hidden = true;
      return;
    }
    let stops;
    try {
      stops = stopsOf(await fetchJson(`/api/stops?query=${encodeURIComponent(query)}`));
    } catch {
      stops = [];
    }
    if (asked === this.asked) this.show(stops.slice(0, FOUND_MAX));
  }

  show(stops) {
    const items = stops.map((stop) => {
      const item = make("li");
      const link = make("a", "", this.words.name(stop.name));
      link.href = `/board/${encodeURIComponent(stop.id)}?lang=${this.words.language}`;
      if (stop.note) link.append(make("small", "", stop.note));
      item.append(link);
      return item;
    });
    if (items.length === 0) {
      const item = make("li");
      item.append(make("p", "", this.words.say("boards.nothing")));
      items.push(item);
    }
    this.found.replaceChildren(...items);
    this.found.hidden = false;
  }
}

/** What the search needs of its answer; the note tells two platforms of one name apart. */
function stopsOf(answer) {
  return answer.stops.map((stop) => {
    const towards = words.name(stop.towards);
    return { id: stop.stop, name: stop.name, note: [towards && `→ ${towards}`, stop.routes.join(", ")].filter(Boolean).join(" · ") };
  });
}

// The page ---------------------------------------------------------------------------------------------------------

function copyButtons(words) {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll("pre")) {
    const button = make("button", "", words.say("try.copy"));
    button.type = "button";
    button.dataset.text = "try.copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.querySelector("code").textContent);
      write(button, words.say("try.copied"));
      setTimeout(() => write(button, words.say("try.copy")), 1_500);
    });
    block.append(button);
  }
}

const [catalogue, city] = await Promise.all([untilAnswered("/static/index/texts.json"), untilAnswered("/api/city")]);
const words = new Words(catalogue, firstLanguage());
words.timeZone = city.time_zone;
const figures = new Figures(words);
let cards = [];

function relabel() {
  words.fill(document);
  document.title = `Ayaldama · ${words.say("hero.title")}`;
  write(element("agency"), city.agency);
  write(element("facts"), words.say("city.facts", { routes: number(city.routes), stops: number(city.stops), km: number(city.lines_km) }));
  element("open-map").href = `/map?lang=${words.language}`;
  element("open-stops").href = `/stop?lang=${words.language}`;
  const [first] = city.featured;
  if (first) {
    const links = ["kk", "ru", "en"].map((language) => {
      const link = make("a", "", first.name[language]);
      link.href = `/board/${encodeURIComponent(first.id)}?lang=${language}`;
      link.lang = language;
      return link;
    });
    element("three").replaceChildren(...links);
  }
  figures.show();
  for (const card of cards) card.show();
}

copyButtons(words);
languageSwitch(element("languages"), words, relabel);
new StopSearch(words);
relabel();
repeat(async () => figures.take(await fetchJson("/api/demo")), FIGURES_EVERY_MS);

const network = await untilAnswered("/api/network.geojson");
const [west, south, east, north] = network.bounds;
figures.centre = [(west + east) / 2, (south + north) / 2];
const sketch = new Sketch(element("sketch"), network);
repeat(async () => sketch.showBuses((await fetchJson("/api/vehicles")).vehicles), BUSES_EVERY_MS);
cards = city.featured.map((stop) => new BoardCard(stop, network.routes, words));
element("cards").replaceChildren(...cards.map((card) => card.item));
repeat(() => Promise.all(cards.map((card) => card.refresh())), BOARDS_EVERY_MS);
