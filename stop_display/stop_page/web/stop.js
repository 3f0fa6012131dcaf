// The page of one stop on a telephone: what its board shows, by the board's own scripts, and what only a telephone needs.
// Map and report form are loaded when they are opened.

import { Page, element, fetchJson, make, put, show } from "./page.js";
import { Favourites, listStops, routesOf } from "./places.js";

const SHOW_EVERY_MS = 500;
const SPEAK_EVERY_MS = 60000;
const SPOKEN_LINES = 3;
const BESIDE_MAX = 6;
const BESIDE_AGAIN_MS = 5000;

class StopPage {
  constructor(stopId) {
    this.stopId = stopId;
    this.page = new Page(() => this.relabel());
    this.words = this.page.words;
    this.clock = new CityClock();
    this.teller = new LineTeller(this.words, this.clock);
    this.feed = new Feed({ stopId, panelName: "", clock: this.clock, show: () => this.showNext() });
    this.rows = new Rows(element("rows"));
    this.favourites = new Favourites();
    this.beside = [];
    this.map = null;
    this.report = null;
    this.shown = false;
    this.spokenAt = -Infinity;
    this.notices = "";
    this.clockParts = element("clock").querySelectorAll("span");
  }

  start() {
    this.page.start().then(() => {
      this.feed.start();
      this.askBeside();
      setInterval(() => this.show(), SHOW_EVERY_MS);
    });
    element("favourite").onclick = () => this.save();
    element("open-map").onclick = () => this.openMap();
    element("open-report").onclick = () => this.openReport();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.show();
    });
  }

  /** The stop as the feed knows it, `{known, unknown, name, code, lines, alerts}`. */
  get stop() {
    return this.feed.stop;
  }

  /** Show what is new in the next frame, however many messages came before it. */
  showNext() {
    if (this.showing) return;
    this.showing = true;
    requestAnimationFrame(() => {
      this.showing = false;
      this.show();
    });
  }

  show() {
    const { feed, clock, words, teller, stop } = this;
    if (!words.ready) return;
    teller.fresh = feed.quality !== "lost";
    teller.silentS = feed.silentS;
    document.body.dataset.quality = stop.known ? feed.quality : "live";
    put(element("name"), this.name());
    put(element("code"), stop.code ? words.say("code", { code: stop.code }) : "");
    const title = stop.known ? words.say("title", { stop: words.name(stop.name) }) : "Ayaldama";
    if (document.title !== title) document.title = title;
    const time = clock.known ? clock.time(clock.now()) : "";
    element("clock").dataset.known = time ? "yes" : "no";
    put(this.clockParts[0], time.slice(0, 2));
    put(this.clockParts[1], time.slice(3));
    const lines = this.lines();
    this.say("banner", this.warning(lines));
    this.say("empty", this.emptiness(lines));
    this.showNotices(stop.alerts || []);
    this.rows.show(lines, teller, () => {});
    show(element("legend"), lines.length > 0);
    show(element("parts"), !stop.unknown);
    this.nameFavourite();
    if (this.map) this.map.show();
    this.speak(lines);
  }

  lines() {
    return this.teller.inOrder(Array.from(this.stop.lines.values()));
  }

  say(id, text) {
    const node = element(id);
    show(node, Boolean(text));
    put(node, text);
  }

  name() {
    const { stop, words } = this;
    if (stop.unknown) return words.say("unknown", { stop: this.stopId });
    return stop.known ? words.name(stop.name) : words.say("loading");
  }

  /** What must be known about everything that is shown. */
  warning(lines) {
    const { feed, clock, words, stop } = this;
    if (!stop.known) return "";
    if (feed.quality === "stale") {
      return words.say("stale", { time: clock.time(clock.now() - feed.silentS * 1000 * clock.rate) });
    }
    if (feed.quality === "live" && feed.tracked) return "";
    const planned = lines.some((line) => this.teller.tell(line).state === "timetable");
    const what = words.say(feed.quality === "lost" ? "lost" : "silent");
    return planned ? `${what} ${words.say("from_timetable")}` : what;
  }

  emptiness(lines) {
    const { stop, words } = this;
    if (stop.unknown) return words.say("unknown_help");
    if (!stop.known) return "";
    if (!lines.length) return words.say("no_lines");
    return lines.every((line) => this.teller.tell(line).state === "no_data") ? words.say("nothing_known") : "";
  }

  /** Alerts with their text, until they end by the city's clock; one without an end is believed as long as a plan. */
  showNotices(alerts) {
    const { words, clock, feed } = this;
    const now = alerts.filter((one) => (one.until_ms ? one.until_ms > clock.now() : feed.silentS < PLAN_TRUSTED_S));
    const told = now.map((alert) => ({
      routes: alert.routes && alert.routes.length ? routesOf("page.notice_routes", alert.routes, words) : "",
      header: words.name(alert.header),
      text: words.name(alert.text),
      until: alert.until_ms ? this.until(alert.until_ms) : "",
      takeover: Boolean(alert.takeover),
    }));
    const written = JSON.stringify([words.language, told]);
    if (written === this.notices) return;
    this.notices = written;
    const root = element("notices");
    show(root, told.length > 0);
    root.setAttribute("aria-label", words.say("page.notices"));
    root.querySelector("ul").replaceChildren(...told.map(notice));
  }

  until(ms) {
    const { words, clock } = this;
    const days = clock.daysAhead(ms);
    const time = clock.time(ms);
    if (days === 0) return words.say("page.until", { time });
    return words.say("page.until", { time: `${days === 1 ? words.say("tomorrow") : clock.date(ms)} ${time}` });
  }

  /** For those who listen: the next buses, at most once a minute. */
  speak(lines) {
    if (!lines.length || performance.now() - this.spokenAt < SPEAK_EVERY_MS) return;
    this.spokenAt = performance.now();
    put(element("spoken"), lines.slice(0, SPOKEN_LINES).map((line) => this.teller.spoken(line)).join(" "));
  }

  relabel() {
    const { words, stopId } = this;
    element("rows").setAttribute("aria-label", words.say("rows"));
    const id = encodeURIComponent(stopId);
    element("board-link").href = `/board/${id}?lang=${words.language}`;
    element("label-link").href = `/stop/${id}/label`;
    this.notices = "";
    this.nameOpeners();
    this.showBeside();
    this.showFavourites();
    if (this.report) this.report.relabel();
    if (this.map) this.map.relabel();
    this.show();
  }

  // What stands beside, and what is saved

  async askBeside() {
    try {
      const asked = `/api/stops/${encodeURIComponent(this.stopId)}/near?limit=${BESIDE_MAX}`;
      this.beside = (await fetchJson(asked)).stops;
    } catch (error) {
      if (error.status !== 404) setTimeout(() => this.askBeside(), BESIDE_AGAIN_MS * (1 + Math.random()));
      return;
    }
    this.showBeside();
  }

  showBeside() {
    show(element("beside-part"), this.beside.length > 0);
    listStops(element("beside"), this.beside, this.words);
  }

  showFavourites() {
    const saved = this.favourites.all().filter((stop) => stop.stop !== this.stopId);
    show(element("favourites-part"), saved.length > 0);
    listStops(element("favourites"), saved, this.words);
  }

  save() {
    const { stop, stopId } = this;
    if (!stop.known) return;
    this.favourites.set({ stop: stopId, code: stop.code, name: stop.name }, !this.favourites.has(stopId));
    this.nameFavourite();
  }

  nameFavourite() {
    const saved = this.favourites.has(this.stopId);
    const button = element("favourite");
    button.disabled = !this.stop.known;
    if (button.getAttribute("aria-pressed") !== String(saved)) button.setAttribute("aria-pressed", String(saved));
    put(button, this.words.say(saved ? "page.saved" : "page.save"));
  }

  // What is loaded when it is opened

  async openMap() {
    const part = element("map-part");
    show(part, part.hidden);
    this.nameOpeners();
    if (part.hidden) {
      this.map.rest();
      return;
    }
    const { StopMap } = await import("./stop_map.js");
    if (!this.map) this.map = new StopMap(element("map"), this);
    this.map.wake();
  }

  async openReport() {
    const part = element("report");
    show(part, part.hidden);
    this.nameOpeners();
    if (part.hidden) return;
    const { ReportForm } = await import("./stop_report.js");
    if (!this.report) this.report = new ReportForm(part, this);
    this.report.focus();
  }

  nameOpeners() {
    for (const [button, part, name] of [["open-map", "map-part", "map"], ["open-report", "report", "report"]]) {
      const open = !element(part).hidden;
      element(button).setAttribute("aria-expanded", String(open));
      element(button).dataset.text = `page.${name}_${open ? "close" : "open"}`;
      put(element(button), this.words.say(element(button).dataset.text));
    }
  }
}

function notice(told) {
  const root = make("li", told.takeover ? "notice notice-urgent" : "notice");
  const head = make("p", "notice-head");
  if (told.routes) head.append(make("span", "", told.routes), " ");
  head.append(make("b", "", told.header));
  root.append(head);
  if (told.text) root.append(make("p", "", told.text));
  if (told.until) root.append(make("p", "small", told.until));
  return root;
}

function stopOfAddress() {
  const part = location.pathname.split("/")[2] || "";
  try {
    return decodeURIComponent(part);
  } catch (error) {
    return part;
  }
}

new StopPage(stopOfAddress()).start();
