// Texts in three languages, and how times, ages and delays are said. Knows nothing of the map.

export const LANGUAGES = ["kk", "ru", "en"];
const KEPT_AS = "ayaldama.language";

/** The language asked for in the address, else the one chosen last, else the browser's, else Kazakh. */
export function firstLanguage() {
  const asked = [new URLSearchParams(location.search).get("lang"), kept(), ...navigator.languages];
  const known = asked.map((tag) => (tag || "").slice(0, 2).toLowerCase());
  return known.find((tag) => LANGUAGES.includes(tag)) ?? "kk";
}

function kept() {
  try {
    return localStorage.getItem(KEPT_AS);
  } catch {
    return null; // storage is switched off: the choice lasts as long as the page
  }
}

export class Words {
  /** @param {Record<string, Record<string, string>>} catalogue language → key → text */
  constructor(catalogue, language) {
    this.catalogue = catalogue;
    this.language = language;
    this.timeZone = "UTC";
  }

  choose(language) {
    this.language = language;
    try {
      localStorage.setItem(KEPT_AS, language);
    } catch {
      // see kept()
    }
  }

  /** The text for `key` with `{name}` filled in. A key that is missing is shown, so that it is noticed. */
  say(key, values = {}) {
    const text = this.catalogue[this.language][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  /** Fill every element that names its text: data-text, data-label (aria-label), data-hint (placeholder). */
  fill(root) {
    for (const element of root.querySelectorAll("[data-text]")) {
      element.textContent = this.say(element.dataset.text);
    }
    for (const element of root.querySelectorAll("[data-label]")) {
      element.setAttribute("aria-label", this.say(element.dataset.label));
    }
    for (const element of root.querySelectorAll("[data-hint]")) {
      element.setAttribute("placeholder", this.say(element.dataset.hint));
    }
    document.documentElement.lang = this.language;
  }

  /** A name of the network document: `{kk, ru, en}`. */
  name(names) {
    return names ? names[this.language] || names.kk || "" : "";
  }

  clockTime(ms, withSeconds = false) {
    return new Intl.DateTimeFormat("en-GB", {
      timeZone: this.timeZone,
      hour: "2-digit",
      minute: "2-digit",
      ...(withSeconds ? { second: "2-digit" } : {}),
    }).format(ms);
  }

  /** A time of day, with its date when that is not today. */
  moment(ms, nowMs) {
    const date = new Intl.DateTimeFormat("en-GB", { timeZone: this.timeZone, day: "2-digit", month: "2-digit" });
    const [day, today] = [date.format(ms), date.format(nowMs)].map((text) => text.replace("/", "."));
    return day === today ? this.clockTime(ms) : `${day} ${this.clockTime(ms)}`;
  }

  age(seconds) {
    const s = Math.max(0, Math.round(seconds));
    if (s < 90) return this.say("age.seconds", { n: s });
    if (s < 5400) return this.say("age.minutes", { n: Math.round(s / 60) });
    return this.say("age.hours", { n: Math.round(s / 3600) });
  }

  /** How long until `ms`: "due", minutes, or the time of day when it is far off. */
  until(ms, nowMs) {
    const minutes = Math.floor((ms - nowMs) / 60_000);
    if (minutes < 1) return this.say("time.due");
    return minutes < 60 ? this.say("time.minutes", { n: minutes }) : this.clockTime(ms);
  }

  deviation(seconds) {
    if (seconds === undefined || seconds === null) return this.say("vehicle.no_timetable");
    const minutes = Math.round(Math.abs(seconds) / 60);
    if (minutes === 0) return this.say("vehicle.on_time");
    return this.say(seconds > 0 ? "vehicle.late" : "vehicle.early", { minutes });
  }
}

/** Buttons kk / ru / en inside `root`; `chosen(language)` is called after the words have changed. */
export function languageSwitch(root, words, chosen) {
  const buttons = LANGUAGES.map((language) => {
    const button = document.createElement("button");
    button.type = "button";
    button.lang = language;
    button.textContent = language;
    button.addEventListener("click", () => {
      words.choose(language);
      mark();
      chosen(language);
    });
    return button;
  });
  const mark = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.lang === words.language));
  };
  root.replaceChildren(...buttons);
  mark();
}
