"use strict";
// The boards of all stops, small. Each group of 20 stops is one connection that speaks as any board does, so what is seen
// here is what boards are told. Words and figures are those of the board's own page.

const STOPS_PER_SOCKET = 20;
const SHOW_EVERY_MS = 1000;
const ROWS_MAX = 6;
const OPEN_EVERY_MS = 60; // connections are opened one after the other
const BACK_MAX_MS = 5000;
const SILENT_MAX_S = 25;
const STALE_S = 60;
const LOST_S = 90;

const element = (id) => document.getElementById(id);

function make(parent, tag, name, text) {
  const made = parent.appendChild(document.createElement(tag));
  if (name) made.className = name;
  if (text) made.textContent = text;
  return made;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Up to 20 stops on one connection, which comes back by itself and begins with snapshots. */
class Group {
  constructor(stops, clock, boards) {
    this.stops = stops;
    this.clock = clock;
    this.boards = boards;
    this.heardAt = -Infinity;
    this.failures = 0;
    this.up = false;
  }

  get silentS() {
    return (performance.now() - this.heardAt) / 1000;
  }

  connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/board/ws`);
    this.socket = socket;
    this.openedAt = performance.now();
    socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", stops: this.stops, board: "wall" }));
    socket.onmessage = (event) => this.take(JSON.parse(event.data));
    socket.onclose = () => {
      this.up = false;
      this.failures += 1;
      const pauseMs = Math.min(BACK_MAX_MS, 250 * Math.pow(2, Math.min(this.failures, 6)));
      setTimeout(() => this.connect(), pauseMs * (0.5 + Math.random() / 2));
    };
  }

  watch() {
    const sinceS = Math.min(this.silentS, (performance.now() - this.openedAt) / 1000);
    if (this.socket && sinceS > SILENT_MAX_S) this.socket.close();
  }

  take(message) {
    if (message.type === "problem") return;
    if (message.type === "hello") this.clock.run(message.rate);
    this.clock.take(message.server_ms);
    if (message.utc_offset_s !== undefined) this.clock.offsetS = message.utc_offset_s;
    this.heardAt = performance.now();
    this.up = true;
    this.failures = 0;
    if (message.type === "snapshot") this.boards.get(message.board.stop).replace(message.board);
    if (message.type === "change") this.boards.get(message.stop).change(message);
  }
}

/** One stop: what it was told, and its place on the wall. */
class SmallBoard {
  constructor(stop, parent) {
    this.stop = stop;
    this.lines = new Map();
    this.alerts = [];
    this.group = null;
    this.root = make(parent, "section", "board");
    this.root.setAttribute("data-stop", stop.stop);
    const head = make(this.root, "h2");
    this.link = make(head, "a");
    this.link.href = `/board/${encodeURIComponent(stop.stop)}`;
    this.code = make(head, "small", "", stop.code);
    this.rows = make(this.root, "ol");
    this.alert = make(this.root, "p", "alert");
    this.painted = "";
  }

  replace(board) {
    this.lines = new Map(board.lines.map((line) => [line.key, line]));
    this.alerts = board.alerts || [];
  }

  change(message) {
    message.lines.forEach((line) => this.lines.set(line.key, line));
    if (message.alerts) this.alerts = message.alerts;
  }

  matches(wanted) {
    const { stop } = this;
    return [stop.code, stop.stop].concat(Object.values(stop.name)).some((text) => text.toLowerCase().includes(wanted));
  }

  show(teller, words, page) {
    const { silentS } = this.group;
    teller.fresh = silentS <= LOST_S;
    teller.silentS = silentS;
    const quality = silentS > LOST_S ? "lost" : silentS > STALE_S ? "stale" : "live";
    if (this.root.getAttribute("data-quality") !== quality) this.root.setAttribute("data-quality", quality);
    write(this.link, words.name(this.stop.name) || this.stop.stop);
    const lines = teller.inOrder(Array.from(this.lines.values())).slice(0, ROWS_MAX);
    const told = lines.map((line) => {
      const said = teller.tell(line);
      const figure = [said.figure, said.unit].filter(Boolean).join(" ");
      return [said.state, said.phrase, line.route, words.name(line.destination), figure || said.kind];
    });
    const alerts = this.alerts.map((alert) => words.name(alert.header)).join(" · ");
    const painted = JSON.stringify([told, alerts, words.language]);
    if (painted === this.painted) return;
    this.painted = painted;
    write(this.alert, alerts);
    this.rows.textContent = "";
    if (!told.length) make(this.rows, "li", "to", page.say("no_lines"));
    told.forEach(([state, phrase, route, destination, figure]) => {
      const row = make(this.rows, "li");
      row.setAttribute("data-state", state);
      if (phrase) row.setAttribute("data-phrase", "");
      make(row, "span", "route", route);
      make(row, "span", "to", destination).title = destination;
      make(row, "span", "figure", figure).title = figure;
    });
  }
}

/** The language that was chosen last on any of our pages; with `language`, remember that. */
function keptLanguage(language) {
  try {
    if (language) localStorage.setItem("ayaldama.language", language);
    return localStorage.getItem("ayaldama.language");
  } catch (error) {
    return null; // the choice lasts as long as the page
  }
}

class WallPage {
  constructor(texts, boardTexts, wall) {
    this.texts = texts;
    this.wall = wall;
    this.words = new Words("kk");
    this.words.catalogue = boardTexts;
    this.clock = new CityClock();
    this.teller = new LineTeller(this.words, this.clock);
    this.boards = new Map(wall.stops.map((stop) => [stop.stop, new SmallBoard(stop, element("wall"))]));
    this.groups = [];
    for (let first = 0; first < wall.stops.length; first += STOPS_PER_SOCKET) {
      const stops = wall.stops.slice(first, first + STOPS_PER_SOCKET).map((stop) => stop.stop);
      const group = new Group(stops, this.clock, this.boards);
      stops.forEach((stop) => (this.boards.get(stop).group = group));
      this.groups.push(group);
    }
    LANGUAGES.forEach((language) => {
      const button = make(element("languages"), "button", "", language);
      button.type = "button";
      button.lang = language;
      button.onclick = () => {
        this.choose(language);
        keptLanguage(language);
      };
    });
    element("filter").oninput = () => this.filter();
  }

  start() {
    const tags = [keptLanguage()].concat(navigator.languages || []).map((tag) => (tag || "").slice(0, 2));
    this.choose(tags.find((tag) => LANGUAGES.includes(tag)) || "kk");
    this.groups.forEach((group, i) => setTimeout(() => group.connect(), i * OPEN_EVERY_MS));
    setInterval(() => this.show(), SHOW_EVERY_MS);
    setInterval(() => this.groups.forEach((group) => group.watch()), SHOW_EVERY_MS);
  }

  say(key, values) {
    return this.texts[this.words.language][key].replace(/\{(\w+)\}/g, (whole, name) => values[name]);
  }

  choose(language) {
    this.words.language = language;
    document.documentElement.lang = language;
    document.title = `${this.say("wall_title")} · Ayaldama`;
    document.querySelectorAll("[data-text]").forEach((node) => write(node, this.say(node.getAttribute("data-text"))));
    element("languages").setAttribute("aria-label", this.say("language"));
    document.querySelector(".brand").setAttribute("aria-label", this.say("home"));
    element("languages").childNodes.forEach((button) => {
      button.setAttribute("aria-pressed", String(button.lang === language));
    });
    const { page, pages } = this.wall;
    [["before", page - 1], ["after", page + 1]].forEach(([id, other]) => {
      element(id).hidden = other < 1 || other > pages;
      element(id).href = `/boards/wall?page=${other}`;
    });
    this.filter();
    this.show();
  }

  filter() {
    const wanted = element("filter").value.trim().toLowerCase();
    this.boards.forEach((board) => (board.root.hidden = Boolean(wanted) && !board.matches(wanted)));
    const { first, stops, total } = this.wall;
    const values = { from: first, to: first + stops.length - 1, n: total };
    write(element("shown"), this.say("stops_of", values));
  }

  show() {
    const up = this.groups.filter((group) => group.up).length;
    const all = this.groups.length;
    write(element("connected"), this.say(up === all ? "connected_all" : "connected_some", { up: up, n: all }));
    if (!this.clock.known) return;
    this.boards.forEach((board) => board.root.hidden || board.show(this.teller, this.words, this));
  }
}

function get(address) {
  return fetch(address).then((answer) => answer.json());
}

const asked = new URLSearchParams(location.search).get("page") || "1";
Promise.all([
  get("/static/panel/texts.json"),
  get("/static/board/texts.json"),
  get(`/api/boards/wall?page=${encodeURIComponent(asked)}`),
]).then(([texts, boardTexts, wall]) => new WallPage(texts, boardTexts, wall).start());
