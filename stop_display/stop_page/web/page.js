// What the pages of stops share: words and languages, the look, what the telephone remembers, requests.
// `Words` and `LANGUAGES` come from the board's words.js.

const TEXTS_PAUSE_MS = 1500;
const ANSWER_MAX_MS = 10000;

export const element = (id) => document.getElementById(id);

export function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Write only what differs: readers of screens and selections are left in peace. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/** Remember a choice as long as the browser lets us; without `value`, return what was remembered. */
export function kept(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(`ayaldama.${name}`);
    localStorage.setItem(`ayaldama.${name}`, value);
  } catch (error) {
    // storage is switched off: the choice lasts as long as the page
  }
  return null;
}

/** What was asked of the server and not given; `status` is 0 if there was no answer. */
export class RequestError extends Error {
  constructor(status, problem) {
    super(`status ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

export async function fetchJson(address, options) {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), ANSWER_MAX_MS);
  let answer;
  try {
    answer = await fetch(address, Object.assign({ signal: ending.signal }, options));
    if (answer.ok) return await answer.json();
  } catch (error) {
    throw new RequestError(0, null);
  } finally {
    clearTimeout(timer);
  }
  throw new RequestError(answer.status, await answer.json().catch(() => null));
}

/** The address of a stop's page in the language of this one. */
export function stopAddress(stopId, language) {
  return `/stop/${encodeURIComponent(stopId)}?lang=${language}`;
}

export class Page {
  /** `relabel()` is called when words are there and whenever the language changes. */
  constructor(relabel) {
    this.asked = new URLSearchParams(location.search);
    this.words = new Words(firstLanguage(this.asked.get("lang")));
    this.relabel = relabel;
    this.look(this.asked.get("theme") || kept("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  }

  async start() {
    while (!this.words.ready) {
      try {
        this.words.catalogue = await fetchJson("/static/stop/texts.json");
      } catch (error) {
        await new Promise((resolve) => setTimeout(resolve, TEXTS_PAUSE_MS));
      }
    }
    for (const language of LANGUAGES) {
      const button = make("button", "", language);
      button.type = "button";
      button.lang = language;
      button.title = LANGUAGE_NAMES[language];
      button.onclick = () => {
        kept("language", language);
        this.choose(language);
      };
      element("languages").append(button);
    }
    element("theme").onclick = () => {
      const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      kept("theme", theme);
      this.look(theme);
      this.nameTheme();
    };
    this.choose(this.words.language);
    show(element("parts"), true);
  }

  choose(language) {
    this.words.language = language;
    document.documentElement.lang = language;
    this.label(document);
    element("languages").setAttribute("aria-label", this.words.say("language"));
    for (const button of element("languages").children) {
      button.setAttribute("aria-pressed", String(button.lang === language));
    }
    this.nameTheme();
    this.relabel();
  }

  /** Fill every `data-text` below `root`. */
  label(root) {
    for (const node of root.querySelectorAll("[data-text]")) put(node, this.words.say(node.dataset.text));
  }

  look(theme) {
    document.documentElement.dataset.theme = theme === "dark" ? "dark" : "light";
  }

  nameTheme() {
    const dark = document.documentElement.dataset.theme === "dark";
    const button = element("theme");
    button.title = this.words.say(dark ? "theme_light" : "theme_dark");
    button.setAttribute("aria-label", button.title);
  }
}

function firstLanguage(asked) {
  const wanted = [asked, kept("language"), ...(navigator.languages || [])];
  return wanted.map((tag) => (tag || "").slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) || "kk";
}
