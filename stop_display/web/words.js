"use strict";
// Texts in the language that is shown. Plain ES2015, as all scripts of the board: screens at stops are old.

const LANGUAGES = ["kk", "ru", "en"];
const LANGUAGE_NAMES = { kk: "Қазақша", ru: "Русский", en: "English" };

class Words {
  constructor(language) {
    this.language = language;
    this.catalogue = null; // language → key → text
  }

  get ready() {
    return this.catalogue !== null;
  }

  /** The text for `key` with `{name}` filled in. A key that is missing is shown, so that it is noticed. */
  say(key, values) {
    const text = this.catalogue[this.language][key] || key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => (values && values[name] !== undefined ? values[name] : whole));
  }

  /** The text for `n` things. Kazakh nouns stay as they are after a number, Russian ones have three forms. */
  count(key, n) {
    return this.say(`${key}.${this.form(n)}`, { n: n });
  }

  form(n) {
    if (this.language !== "ru") return n === 1 ? "one" : "many";
    const ten = n % 10;
    const hundred = n % 100;
    if (ten === 1 && hundred !== 11) return "one";
    return ten >= 2 && ten <= 4 && (hundred < 12 || hundred > 14) ? "few" : "many";
  }

  /** A name as the server gives it: `{kk, ru, en}`. */
  name(names) {
    return names ? names[this.language] || names.kk || "" : "";
  }

  next() {
    return LANGUAGES[(LANGUAGES.indexOf(this.language) + 1) % LANGUAGES.length];
  }
}
