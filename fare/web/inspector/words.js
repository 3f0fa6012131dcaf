// Texts in three languages, and how times are said.

export const LANGUAGES = ["kk", "ru", "en"];
const KEPT_AS = "ayaldama.language";

export function firstLanguage() {
  let chosen = null;
  try {
    chosen = localStorage.getItem(KEPT_AS);
  } catch {
    // storage is switched off: the browser's language is taken
  }
  const known = [chosen, ...navigator.languages].map((tag) => (tag || "").slice(0, 2).toLowerCase());
  return known.find((tag) => LANGUAGES.includes(tag)) ?? "kk";
}

export class Words {
  constructor(catalogue, language) {
    this.catalogue = catalogue;
    this.language = language;
  }

  choose(language) {
    this.language = language;
    try {
      localStorage.setItem(KEPT_AS, language);
    } catch {
      // the choice lasts as long as the page
    }
  }

  /** The text for `key` with `{name}` filled in. A key that is missing is shown, so that it is noticed. */
  say(key, values = {}) {
    const text = this.catalogue[this.language][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  has(key) {
    return key in this.catalogue[this.language];
  }

  /** The city's, wherever the phone believes to be. */
  get zone() {
    return this.catalogue[this.language]["city.zone"];
  }

  time(atMs) {
    const timeZone = this.zone;
    return new Date(atMs).toLocaleTimeString("ru", { hour: "2-digit", minute: "2-digit", timeZone });
  }

  ago(passedMs) {
    const minutes = Math.floor(passedMs / 60000);
    return minutes < 1 ? this.say("ago.now") : this.say("ago.minutes", { count: minutes });
  }
}
