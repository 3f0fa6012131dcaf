"use strict";
// The page of one stop's board: its address says stop, language, look and whether it is a panel. See docs/boards.md.

const SHOW_EVERY_MS = 500;
const TURN_EVERY_MS = 10000; // to the next page of a panel, to the next language
const SPEAK_EVERY_MS = 60000;
const SPOKEN_LINES = 3;
const TEXTS_PAUSE_MS = 1500;
const RENEW_HOUR = 3;
const RENEW_LOOK_MS = 10 * 60000;
const RENEW_SPREAD_MS = 9 * 60000; // panels of a city do not ask for their page in the same second
const UP_BEFORE_RENEWAL_MS = 6 * 3600000;

class BoardPage {
  constructor(stopId, asked) {
    this.stopId = stopId;
    this.stopIds = [stopId];
    this.panel = asked.mode === "panel";
    this.rotating = asked.lang === "rotate";
    this.words = new Words(this.rotating ? "kk" : firstLanguage(asked.lang, this.panel));
    this.clock = new CityClock();
    this.fleet = asked.fleet && panelKey() ? new FleetPanel(this.clock) : null;
    this.feed = new Feed({
      stopId: stopId,
      panelName: asked.board || "",
      clock: this.clock,
      show: () => this.showNext(),
      fleet: this.fleet,
    });
    this.health = this.fleet ? new Health(this, this.fleet) : null;
    this.showing = false;
    this.teller = new LineTeller(this.words, this.clock);
    this.rows = new Rows(element("rows"));
    this.page = 0;
    this.pages = 1;
    this.unit = 10;
    this.spokenAt = -Infinity;
    this.clockParts = element("clock").querySelectorAll("span");
    mark(document.body, "data-mode", this.panel ? "panel" : "page");
    this.look(firstLook(asked.theme, this.panel));
  }

  start(catalogue) {
    this.words.catalogue = catalogue;
    this.makeControls();
    this.choose(this.words.language);
    this.feed.start();
    if (this.fleet) [this.fleet, this.health].forEach((part) => part.start());
    window.addEventListener("resize", () => this.show());
    setInterval(() => this.show(), SHOW_EVERY_MS);
    setInterval(() => this.turn(), TURN_EVERY_MS);
    if (this.panel) setInterval(() => this.renewAtNight(), RENEW_LOOK_MS);
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
    const { feed, clock, words, teller } = this;
    const stop = feed.stop;
    teller.fresh = feed.quality !== "lost";
    teller.silentS = feed.silentS;
    mark(document.body, "data-quality", stop.known ? feed.quality : "live");
    write(element("name"), this.name());
    write(element("code"), stop.code ? words.say("code", { code: stop.code }) : "");
    const title = stop.known ? words.say("title", { stop: words.name(stop.name) }) : "Ayaldama";
    if (document.title !== title) document.title = title;
    const time = clock.known ? clock.time(clock.now()) : "";
    mark(element("clock"), "data-known", time ? "yes" : "no");
    write(this.clockParts[0], time.slice(0, 2));
    write(this.clockParts[1], time.slice(3));
    const lines = teller.inOrder(Array.from(stop.lines.values()));
    this.say("banner", this.warning(lines));
    this.say("empty", this.emptiness(lines));
    this.rows.show(lines, teller, () => this.panel && this.fit());
    if (!this.panel) this.speak(lines);
  }

  say(id, text) {
    const node = element(id);
    if (node.hidden !== !text) node.hidden = !text;
    write(node, text);
  }

  name() {
    const { stop } = this.feed;
    if (stop.unknown) return this.words.say("unknown", { stop: this.stopId });
    return stop.known ? this.words.name(stop.name) : this.words.say("loading");
  }

  /** What must be known about everything that is shown. */
  warning(lines) {
    const { feed, clock, words } = this;
    if (!feed.stop.known) return "";
    const heardMs = clock.now() - feed.silentS * 1000 * clock.rate;
    if (feed.quality === "stale") return words.say("stale", { time: clock.time(heardMs) });
    if (feed.quality === "live" && feed.tracked) return "";
    const planned = lines.some((line) => this.teller.tell(line).state === "timetable");
    const what = words.say(feed.quality === "lost" ? "lost" : "silent");
    return planned ? `${what} ${words.say("from_timetable")}` : what;
  }

  emptiness(lines) {
    const { stop } = this.feed;
    if (stop.unknown) return this.words.say("unknown_help");
    if (!stop.known) return "";
    if (!lines.length) return this.words.say("no_lines");
    return lines.every((line) => this.teller.tell(line).state === "no_data") ? this.words.say("nothing_known") : "";
  }

  /** Sizes of a panel follow its screen; rows that do not fit go to further pages. */
  fit() {
    const { innerWidth: width, innerHeight: height } = window;
    mark(document.body, "data-shape", width >= height ? "wide" : "tall");
    const unit = width >= height ? Math.min(height / 100, width / 150) : Math.min(width / 76, height / 120);
    if (unit !== this.unit) document.documentElement.style.setProperty("--u", `${unit}px`);
    this.unit = unit;
    this.pages = this.rows.fit(element("main").clientHeight - element("empty").offsetHeight, unit, this.page);
    write(element("pages"), this.pages > 1 ? `${(this.page % this.pages) + 1} / ${this.pages}` : "");
  }

  /** Show the next page; after the last one, in the next language. */
  turn() {
    this.page = (this.page + 1) % this.pages;
    if (this.rotating && this.page === 0) this.choose(this.words.next());
    else this.show();
  }

  /** For those who listen: the next buses, at most once a minute. */
  speak(lines) {
    if (!lines.length || performance.now() - this.spokenAt < SPEAK_EVERY_MS) return;
    this.spokenAt = performance.now();
    const sentences = lines.slice(0, SPOKEN_LINES).map((line) => this.teller.spoken(line));
    write(element("spoken"), sentences.join(" "));
  }

  choose(language) {
    this.words.language = language;
    document.documentElement.lang = language;
    each(document.querySelectorAll("[data-text]"), (node) => write(node, this.words.say(node.getAttribute("data-text"))));
    mark(element("rows"), "aria-label", this.words.say("rows"));
    mark(element("languages"), "aria-label", this.words.say("language"));
    each(element("languages").children, (button) => mark(button, "aria-pressed", String(button.lang === language)));
    this.nameTheme();
    this.show();
  }

  look(theme) {
    mark(document.documentElement, "data-theme", theme);
    if (this.words.ready) this.nameTheme();
  }

  nameTheme() {
    const dark = document.documentElement.getAttribute("data-theme") === "dark";
    write(element("theme"), this.words.say(dark ? "theme_light" : "theme_dark"));
  }

  makeControls() {
    LANGUAGES.forEach((language) => {
      const button = add(element("languages"), "button", "");
      button.type = "button";
      button.lang = language;
      button.title = LANGUAGE_NAMES[language];
      button.textContent = language;
      button.onclick = () => {
        this.rotating = false;
        kept("language", language);
        this.choose(language);
      };
    });
    element("theme").onclick = () => {
      const theme = document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark";
      kept("theme", theme);
      this.look(theme);
    };
  }

  /** A panel runs for months: at night it loads its page anew, but only when that can be had. */
  renewAtNight() {
    if (!this.mayRenew()) return;
    setTimeout(() => {
      fetchText(location.href, (text) => {
        if (text && this.mayRenew()) location.reload();
      });
    }, Math.random() * RENEW_SPREAD_MS);
  }

  mayRenew() {
    const { clock, feed } = this;
    const night = clock.known && clock.hour(clock.now()) === RENEW_HOUR;
    return night && performance.now() > UP_BEFORE_RENEWAL_MS && feed.stop.known && feed.quality === "live";
  }
}

function element(id) {
  return document.getElementById(id);
}

/** Give the text at `address` as the server has it now, not as some cache kept it; "" if it cannot be had. */
function fetchText(address, done) {
  const request = new XMLHttpRequest();
  request.open("GET", address);
  request.setRequestHeader("Cache-Control", "no-cache");
  request.timeout = 10000;
  request.onloadend = () => done(request.status === 200 ? request.responseText : "");
  request.send();
}

/** Remember a choice as long as the browser lets us; a panel asks for nothing that is remembered. */
function kept(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(`ayaldama.${name}`);
    localStorage.setItem(`ayaldama.${name}`, value);
  } catch (error) {
    // storage is switched off: the choice lasts as long as the page
  }
  return null;
}

function firstLanguage(asked, panel) {
  const wanted = [asked].concat(panel ? [] : [kept("language")], panel ? [] : Array.from(navigator.languages || []));
  const known = wanted.map((tag) => (tag || "").slice(0, 2).toLowerCase()).filter((tag) => LANGUAGES.indexOf(tag) >= 0);
  return known[0] || "kk";
}

function firstLook(asked, panel) {
  if (asked === "light" || asked === "dark") return asked;
  if (panel) return "dark";
  return kept("theme") || (window.matchMedia && matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
}

function readQuery(search) {
  const found = {};
  search.slice(1).split("&").forEach((part) => {
    const [name, value] = part.split("=");
    found[name] = decode((value || "").replace(/\+/g, " "));
  });
  return found;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return text;
  }
}

function loadTexts(page) {
  fetchText("/static/board/texts.json", (text) => {
    if (text) page.start(JSON.parse(text));
    else setTimeout(() => loadTexts(page), TEXTS_PAUSE_MS);
  });
}

const boardPage = new BoardPage(decode(location.pathname.split("/")[2] || ""), readQuery(location.search));
loadTexts(boardPage);
