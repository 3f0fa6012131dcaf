"use strict";
// An LED panel as dots. It does what a panel must (docs/board-renderings.md): asks again in time, goes on with the page
// after the one it was at, counts by a clock that does not step, and goes dark when what it has is too old.

const DOT = 5; // pixels of the picture from one dot to the next
const LIT = "#ffb000";
const DARK = "#1d1608";
const MARGIN_DOTS = 2;
const LINE_GAP_DOTS = 2;
const RETRY_MIN_S = 2;
const RETRY_MAX_S = 20;
const ASK_MAX_MS = 8000;
const LOOK_MS = 100;
const ASKED = ["width", "lines", "lang"];
const LANGUAGES = ["kk", "ru", "en"];
const CHOICES = { lang: [...LANGUAGES, "rotate"], width: [24, 16, 20, 32, 40], lines: [2, 1, 3, 4, 6, 8] }; // first: the server's own

const PROBLEMS = { 400: "bad_parameter", 404: "unknown_stop" };

const element = (id) => document.getElementById(id);

class Panel {
  constructor(canvas, around) {
    this.canvas = canvas;
    this.around = around;
    this.pages = [];
    this.expiresAt = 0; // by performance.now()
    this.at = 0;
    this.turnAt = 0;
    this.shown = null;
  }

  /** Take an answer that was asked for at `askedAt`: what was under way for long is older than it looks. */
  take(answer, askedAt) {
    this.pages = answer.pages;
    this.width = answer.width;
    this.expiresAt = askedAt + answer.expiration_s * 1000;
    if (this.at >= this.pages.length) this.at = 0;
    this.around.tell("");
  }

  look(now) {
    if (!this.pages.length) return;
    if (now >= this.expiresAt) {
      this.show(null);
      return;
    }
    if (now >= this.turnAt) {
      if (this.turnAt) this.at = (this.at + 1) % this.pages.length;
      this.turnAt = now + this.pages[this.at].duration * 1000;
    }
    this.show(this.pages[this.at]);
  }

  show(page) {
    const lines = page ? page.lines : (this.shown || this.pages[0]).lines.map(() => "");
    const text = JSON.stringify(lines);
    if (this.drawn === text) return;
    this.drawn = text;
    if (page) this.shown = page;
    if (page) this.canvas.setAttribute("lang", page.language);
    this.canvas.setAttribute("aria-label", lines.join("\n").trim() || "LED");
    this.canvas.dataset.dark = page ? "" : "yes";
    this.draw(lines);
  }

  draw(lines) {
    const step = LED_FONT.height + LINE_GAP_DOTS;
    const across = this.width * LED_FONT.width + 2 * MARGIN_DOTS;
    const down = lines.length * step - LINE_GAP_DOTS + 2 * MARGIN_DOTS;
    this.canvas.width = across * DOT;
    this.canvas.height = down * DOT;
    const pen = this.canvas.getContext("2d");
    const lit = new Set();
    lines.forEach((line, row) => {
      Array.from(line).forEach((letter, column) => {
        dotsOf(letter).forEach(([x, y]) => {
          lit.add((MARGIN_DOTS + row * step + y) * across + MARGIN_DOTS + column * LED_FONT.width + x);
        });
      });
    });
    for (let place = 0; place < across * down; place += 1) {
      pen.fillStyle = lit.has(place) ? LIT : DARK;
      pen.beginPath();
      pen.arc(((place % across) + 0.5) * DOT, (Math.floor(place / across) + 0.5) * DOT, DOT * 0.42, 0, 2 * Math.PI);
      pen.fill();
    }
  }
}

/** The dots of a letter as [column, row]; of one that the font lacks, a box. */
function dotsOf(letter) {
  const rows = LED_FONT.glyphs[letter] || "00007e424242424242427e0000";
  const dots = [];
  for (let y = 0; y < LED_FONT.height; y += 1) {
    const bits = parseInt(rows.substr(2 * y, 2), 16);
    for (let x = 0; x < LED_FONT.width; x += 1) {
      if (bits & (1 << (LED_FONT.width - 1 - x))) dots.push([x, y]);
    }
  }
  return dots;
}

const given = new URLSearchParams(location.search);
const stop = location.pathname.split("/").pop();

function address() {
  const asked = ASKED.filter((name) => given.has(name)).map((name) => `${name}=${encodeURIComponent(given.get(name))}`);
  return `/api/stops/${stop}/led?${asked.join("&")}`;
}

/** What is around the panel: words, the stop's name, what can be chosen, what is wrong. */
class Around {
  constructor(texts, names) {
    this.texts = texts;
    this.names = names;
    this.told = ["", {}];
    const tags = [this.kept(), ...navigator.languages].map((tag) => (tag || "").slice(0, 2));
    for (const language of LANGUAGES) {
      const button = element("languages").appendChild(document.createElement("button"));
      Object.assign(button, { type: "button", lang: language, textContent: language });
      button.onclick = () => this.choose(this.kept(language));
    }
    for (const [name, values] of Object.entries(CHOICES)) {
      const shown = given.get(name);
      const others = values.map(String).includes(shown) || shown === null ? [] : [shown];
      element(name).append(...[...values, ...others].map((value) => new Option(value, value)));
      element(name).value = shown || values[0];
      element(name).onchange = () => {
        given.set(name, element(name).value);
        location.search = given.toString();
      };
    }
    this.choose(tags.find((tag) => LANGUAGES.includes(tag)) || "kk");
  }

  kept(language) {
    try {
      if (language) localStorage.setItem("ayaldama.language", language);
      return localStorage.getItem("ayaldama.language");
    } catch {
      return language; // the choice lasts as long as the page
    }
  }

  say(key, values = {}) {
    const text = this.texts[this.language][key] || "";
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name]);
  }

  choose(language) {
    this.language = language;
    document.documentElement.lang = language;
    const name = this.names[language] || decodeURIComponent(stop);
    document.title = `LED · ${name} · Ayaldama`;
    Object.assign(element("stop"), { textContent: name, href: `/board/${stop}` });
    for (const node of document.querySelectorAll("[data-text]")) node.textContent = this.say(node.dataset.text);
    for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = this.say(node.dataset.label);
    for (const button of element("languages").children) button.ariaPressed = String(button.lang === language);
    element("lang").lastChild.textContent = this.say("rotate");
    this.tell(...this.told);
  }

  tell(key, values = {}) {
    this.told = [key, values];
    const text = key && this.say(key, values);
    if (element("state").textContent !== text) element("state").textContent = text;
  }
}

/** Ask once; return after how many seconds to ask again. */
async function ask(panel) {
  const askedAt = performance.now();
  const ending = new AbortController();
  const deadline = setTimeout(() => ending.abort(), ASK_MAX_MS);
  try {
    const response = await fetch(address(), { signal: ending.signal, cache: "no-store" });
    const answer = await response.json();
    if (!response.ok) {
      panel.around.tell(PROBLEMS[response.status] || "unreachable", answer);
      return RETRY_MAX_S;
    }
    panel.take(answer, askedAt);
    panel.failures = 0;
    return answer.refresh_s;
  } catch {
    panel.failures = (panel.failures || 0) + 1;
    panel.around.tell("unreachable");
    return Math.min(RETRY_MAX_S, RETRY_MIN_S * 2 ** panel.failures) * (0.5 + Math.random() / 2);
  } finally {
    clearTimeout(deadline);
  }
}

async function run() {
  const texts = await (await fetch("/static/led/texts.json")).json();
  const name = await fetch(`/api/stops/${stop}/board`).then((answer) => (answer.ok ? answer.json() : {}), () => ({}));
  const panel = new Panel(element("panel"), new Around(texts, (name.board || name).name || {}));
  setInterval(() => panel.look(performance.now()), LOOK_MS);
  for (;;) {
    const again = await ask(panel);
    panel.look(performance.now());
    await new Promise((resume) => setTimeout(resume, again * 1000));
  }
}

run();
