"use strict";
// The page of a board of one to four stops: its address says stops, language, look and whether it is a panel. See docs/boards.md.

const STOPS_SHOWN_MAX = 4;

const SHOW_EVERY_MS = 500;
const TURN_EVERY_MS = 10000; // to the next page of a panel, to the next language
const SPEAK_EVERY_MS = 60000;
const SPOKEN_LINES = 3;
const ROWS_ASKED_MAX = 20;
const FEW_ROWS = 8; // of a stop, below an alert that fills the board
const FEW_HIGH = 14; // what they and their stop's name need, in hundredths of the screen
const FEW_HIGH_ONE = 9;
const KEEP_PAGE_MS = 5000; // by then the fonts in use are there, too
const NO_VOICE_MS = 10000;
const TEXTS_PAUSE_MS = 1500;
const RENEW_HOUR = 3;
const RENEW_LOOK_MS = 10 * 60000;
const RENEW_SPREAD_MS = 9 * 60000; // panels of a city do not ask for their page in the same second
const UP_BEFORE_RENEWAL_MS = 6 * 3600000;

class BoardPage {
  constructor(stopIds, asked) {
    this.panel = asked.mode === "panel";
    this.layout = asked.layout;
    this.rotating = asked.lang === "rotate";
    this.words = new Words(this.rotating ? "kk" : firstLanguage(asked.lang, this.panel));
    this.clock = new CityClock();
    this.fleet = asked.fleet && panelKey() ? new FleetPanel(this.clock) : null;
    this.feed = new Feed({
      stopIds: stopIds,
      panelName: asked.board || "",
      fleet: this.fleet,
      clock: this.clock,
      show: () => this.showNext(),
    });
    this.health = this.fleet ? new Health(this, this.fleet) : null;
    this.kept = new Kept(this.clock);
    this.showing = false;
    this.teller = new LineTeller(this.words, this.clock);
    this.alerts = new Alerts(element("alerts"), element("takeover"), this.panel);
    this.rowsLeast = Math.min(ROWS_ASKED_MAX, parseInt(asked.rows, 10) || 0);
    this.page = 0;
    this.pages = this.turns = 1; // of rows; of rows and alerts together
    this.unit = 10;
    this.spokenAt = -Infinity;
    this.audio = null;
    this.clockParts = element("clock").querySelectorAll("span");
    this.makeViews();
    document.body.className = this.panel ? "panel" : "page";
    this.look(firstLook(asked.theme, this.panel));
  }

  start(catalogue) {
    this.words.catalogue = catalogue;
    this.makeControls();
    this.choose(this.words.language);
    this.feed.start();
    this.kept.start(this.feed);
    if (this.fleet) [this.fleet, this.health].forEach((part) => part.start());
    window.addEventListener("resize", () => this.show());
    setInterval(() => this.show(), SHOW_EVERY_MS);
    setInterval(() => this.turn(), TURN_EVERY_MS);
    if (this.panel) setInterval(() => this.renewAtNight(), RENEW_LOOK_MS);
    setTimeout(keepPage, KEEP_PAGE_MS);
  }

  /** Show other stops from now on. */
  showStops(stopIds) {
    this.feed.look(stopIds);
    this.makeViews();
    this.show();
  }

  get stopIds() {
    return Array.from(this.feed.stops.keys());
  }

  makeViews() {
    const main = element("main");
    const first = main.querySelector(".stop");
    each(main.querySelectorAll(".stop ~ .stop"), (root) => main.removeChild(root));
    this.views = this.stopIds.map((id, n) => new StopView(n ? main.appendChild(first.cloneNode(true)) : first, id));
    mark(document.body, "data-stops", String(this.views.length));
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
    teller.fresh = feed.quality !== "lost";
    teller.silentS = feed.silentS;
    if (!feed.known && feed.failures) this.kept.restore(feed);
    const stops = Array.from(feed.stops.values());
    const lists = stops.map((stop) => teller.inOrder(Array.from((teller.fresh ? stop.lines : this.kept.lines(stop)).values())));
    mark(document.body, "data-quality", feed.known ? feed.quality : "live");
    write(element("name"), this.name(stops));
    const code = stops.length > 1 ? "" : stops[0].code;
    write(element("code"), code ? words.say("code", { code: code }) : "");
    const title = feed.known ? words.say("title", { stop: namesOf(stops, words).join(", ") }) : "Ayaldama";
    if (document.title !== title) document.title = title;
    const time = clock.known || clock.guessed ? clock.time(clock.now()) : "";
    mark(element("clock"), "data-known", time ? (clock.known ? "yes" : "guessed") : "no");
    write(this.clockParts[0], time.slice(0, 2));
    write(this.clockParts[1], time.slice(3));
    this.say("banner", this.warning(lists));
    const alerts = this.alerts.gather(stops, clock, feed.silentS);
    const turns = this.alerts.show(alerts, words, clock, this.panel, this.page);
    this.filled = this.panel && !element("takeover").hidden;
    mark(document.body, "data-takeover", this.filled ? "yes" : "no");
    if (this.panel) this.measure();
    this.pages = 1;
    this.views.forEach((view, n) => {
      view.name(stops.length > 1 ? this.nameOf(stops[n]) : "", stops[n].code ? words.say("code", { code: stops[n].code }) : "");
      view.say(this.emptiness(stops[n], lists[n]), words.say("rows"));
      view.rows.show(lists[n], teller, () => this.panel && this.fit(view));
    });
    if (this.panel) write(element("pages"), this.pages > 1 ? `${(this.page % this.pages) + 1} / ${this.pages}` : "");
    else this.speak(stops, lists);
    this.turns = Math.max(this.pages, turns);
  }

  say(id, text) {
    const node = element(id);
    if (node.hidden !== !text) node.hidden = !text;
    write(node, text);
  }

  /** The name of the stop, or of all; stops of several names have theirs above their rows. */
  name(stops) {
    if (stops.length === 1) return this.nameOf(stops[0]);
    const names = namesOf(stops, this.words);
    if (!this.feed.known) return this.words.say("loading");
    return names.length === 1 ? names[0] : this.words.say("rows");
  }

  nameOf(stop) {
    if (stop.unknown) return this.words.say("unknown", { stop: stop.id });
    return stop.known ? this.words.name(stop.name) : this.words.say("loading");
  }

  /** What must be known about everything that is shown. */
  warning(lists) {
    const { feed, clock, words } = this;
    if (!feed.known) return "";
    const heardMs = clock.now() - feed.silentS * 1000 * clock.rate;
    if (feed.quality === "stale") return words.say("stale", { time: clock.time(heardMs) });
    if (feed.quality === "live" && feed.tracked) return "";
    const planned = lists.some((lines) => lines.some((line) => this.teller.tell(line).state === "timetable"));
    const said = [words.say(feed.quality === "lost" ? "lost" : "silent")];
    if (planned) said.push(words.say("from_timetable"));
    if (!clock.known) said.push(words.say(clock.guessed ? "device_clock" : "no_clock"));
    return said.join(" ");
  }

  emptiness(stop, lines) {
    if (stop.unknown) return this.words.say("unknown_help");
    if (!stop.known) return "";
    if (!lines.length) return this.teller.fresh ? this.words.say("no_lines") : this.words.say("nothing_known");
    return lines.every((line) => this.teller.tell(line).state === "no_data") ? this.words.say("nothing_known") : "";
  }

  /** Sizes of a panel follow its screen; stops stand beside each other where it is wide, four in two rows. */
  measure() {
    const { innerWidth: width, innerHeight: height } = window;
    const several = this.views.length;
    const wide = width >= height;
    mark(document.body, "data-shape", wide && several === 1 ? "wide" : "tall");
    const unit = wide ? Math.min(height / 100, width / 150) : Math.min(width / 76, height / 120);
    if (unit !== this.unit) document.documentElement.style.setProperty("--u", `${unit}px`);
    this.unit = unit;
    this.columns = { columns: several, stacked: 1 }[this.layout] || (!wide ? 1 : several === 4 ? 2 : several);
    mark(document.body, "data-columns", String(this.columns));
    const below = several > 1 ? FEW_HIGH * Math.ceil(several / this.columns) : wide ? FEW_HIGH_ONE : 2 * FEW_HIGH_ONE;
    this.alerts.fit(this.filled ? element("main").clientHeight - below * unit : 0);
  }

  /** Rows that do not fit go to further pages; stops that share a screen have smaller ones. */
  fit(view) {
    const several = this.views.length;
    if (this.filled) {
      view.shrink(FEW_ROWS);
      return;
    }
    const height = element("main").clientHeight / Math.ceil(several / this.columns);
    this.pages = Math.max(this.pages, view.fit(height, this.unit, this.rowsLeast || (several > 1 ? ROWS_LEAST : 0), this.page));
  }

  /** Show the next page; after the last one, in the next language. */
  turn() {
    this.page = (this.page + 1) % this.turns;
    if (this.rotating && this.page === 0) this.choose(this.words.next());
    else this.show();
  }

  /** For those who listen: the next buses, at most once a minute. */
  speak(stops, lists) {
    if (!lists.some((lines) => lines.length) || performance.now() - this.spokenAt < SPEAK_EVERY_MS) return;
    this.spokenAt = performance.now();
    const sentences = stops.map((stop, n) => {
      const lines = lists[n].slice(0, SPOKEN_LINES).map((line) => this.teller.spoken(line));
      return (stops.length > 1 ? [`${this.nameOf(stop)}.`] : []).concat(lines).join(" ");
    });
    write(element("spoken"), sentences.join(" "));
  }

  /** Have the server read the board out; once more: be silent. */
  listen() {
    const { audio, stopIds } = this;
    this.hush("listen");
    if (audio) return;
    this.audio = new Audio();
    const name = Math.random().toString(36).slice(2); // so that all ranges that are asked for are of one sound
    if (this.fleet) this.audio.volume = this.fleet.volume;
    const next = () => {
      if (!stopIds.length) return this.hush("listen");
      this.audio.src = `/api/stops/${encodeURIComponent(stopIds.shift())}/speech?lang=${this.words.language}&listen=${name}`;
      const playing = this.audio.play();
      if (playing) playing.catch(() => {}); // told by onerror, too
      return undefined;
    };
    this.audio.onended = next;
    this.audio.onerror = () => {
      this.hush("listen_none");
      setTimeout(() => this.hush("listen"), NO_VOICE_MS);
    };
    mark(element("listen"), "data-text", "listen_end");
    this.label();
    next();
  }

  hush(label) {
    if (this.audio) {
      this.audio.onended = this.audio.onerror = null;
      this.audio.pause();
    }
    this.audio = null;
    mark(element("listen"), "data-text", label);
    this.label();
  }

  label() {
    each(document.querySelectorAll("[data-text]"), (node) => write(node, this.words.say(node.getAttribute("data-text"))));
  }

  choose(language) {
    this.words.language = language;
    document.documentElement.lang = language;
    this.label();
    mark(element("notices"), "aria-label", this.words.say("alerts"));
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
    write(element("theme").lastChild, this.words.say(dark ? "theme_light" : "theme_dark"));
  }

  makeControls() {
    element("listen").onclick = () => this.listen();
    if (this.panel) document.onkeydown = (event) => event.key === "Enter" && this.listen(); // a button beside the screen
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
    return night && performance.now() > UP_BEFORE_RENEWAL_MS && feed.known && feed.quality === "live";
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

/** Have the page kept for a start without a network, where the browser can: not old ones, nor over plain http. */
function keepPage() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  const [scope] = /^\/[^/]*\/?/.exec(location.pathname);
  const files = performance.getEntriesByType("resource").map((one) => one.name);
  workers
    .register("/board-worker.js", { scope: scope })
    .then(() => workers.ready)
    .then((ready) => ready.active.postMessage({ keep: files.concat(location.href) }))
    .catch(() => {});
}

function namesOf(stops, words) {
  return Array.from(new Set(stops.filter((stop) => stop.known).map((stop) => words.name(stop.name))));
}

function stopsAsked(pathname, asked) {
  const named = [decode(pathname.split("/")[2] || "")].concat((asked.stops || "").split(","));
  return Array.from(new Set(named.filter(Boolean))).slice(0, STOPS_SHOWN_MAX);
}

const asked = readQuery(location.search);
const boardPage = new BoardPage(stopsAsked(location.pathname, asked), asked);
loadTexts(boardPage);
