// The passenger's page: sign in with a code, pay for a bus, see what was paid. Without a connection it shows the tickets
// and passes that it has and says what cannot be done.

import { Refused, ask, keepToken, link } from "./ask.js";
import { History } from "./history.js";
import { kept } from "./kept.js";
import { Own } from "./own.js";
import { element, make } from "./parts.js";
import { Pay } from "./pay.js";
import { Wallet } from "./wallet.js";
import { LANGUAGES, Words, firstLanguage } from "./words.js";

const AGAIN_MS = 30_000;
const TABS = ["pay", "qr", "wallet", "history"];

class Page {
  constructor(words, city) {
    this.words = words;
    this.city = city;
    this.challenge = null;
    this.screens = { pay: new Pay(this), qr: new Own(this), wallet: new Wallet(this), history: new History(this) };
    this.listen("number-form", () => this.askCode());
    this.listen("code-form", () => this.signIn());
    element("other-number").addEventListener("click", () => this.startAnew());
    addEventListener("hashchange", () => this.open());
    addEventListener("online", () => this.renew());
    document.addEventListener("visibilitychange", () => document.hidden || this.renew());
    setInterval(() => document.hidden || this.renew(), AGAIN_MS);
  }

  listen(form, action) {
    element(form).addEventListener("submit", (event) => {
      event.preventDefault();
      this.does(action);
    });
  }

  /** Do what a person asked for; whatever goes wrong is said. Returns whether it went well. */
  async does(action) {
    this.complain("");
    try {
      await action();
      return true;
    } catch (error) {
      this.fails(error);
      return false;
    } finally {
      this.show();
    }
  }

  fails(error) {
    if (!(error instanceof Refused)) console.warn(error);
    if (error instanceof Refused && error.message === "signed_out") this.leave();
    this.complain(error instanceof Refused ? `error.${error.message}` : "error.unreachable");
  }

  complain(key, values = {}) {
    element("complaint").hidden = !key;
    element("complaint").textContent = key ? this.words.say(key, values) : "";
  }

  async askCode() {
    const number = element("number").value;
    const sent = await ask("code", { number, language: this.words.language });
    this.challenge = sent.challenge;
    element("code-sent").textContent = this.words.say(sent.late ? "sign_in.late" : "sign_in.sent", { number });
    element("number-form").hidden = true;
    element("code-form").hidden = false;
    element("code").value = "";
    element("code").focus();
  }

  async signIn() {
    await ask("sign-in", { challenge: this.challenge, code: element("code").value });
    this.startAnew();
    element("number").value = "";
    await this.refresh();
    this.open();
  }

  startAnew() {
    this.challenge = null;
    element("number-form").hidden = false;
    element("code-form").hidden = true;
    this.complain("");
  }

  /** Nobody is signed in any more: nothing of them stays on the phone. */
  leave() {
    kept.forget();
    keepToken("");
    this.screens.qr.forget().catch(console.warn);
    this.startAnew();
    this.show();
  }

  /** Who is signed in and what they have. */
  async refresh() {
    const me = await ask("me");
    keepToken(me.csrf);
    kept.keepMe(me);
    kept.keepTickets((await ask("tickets")).tickets);
  }

  async renew() {
    if (!kept.me()) return;
    try {
      await this.refresh();
    } catch (error) {
      if (error instanceof Refused && error.message === "signed_out") this.leave();
    }
    this.show();
  }

  get tab() {
    const wanted = location.hash.slice(1).split("/")[0];
    return TABS.includes(wanted) ? wanted : "pay";
  }

  open() {
    this.complain("");
    this.show();
    if (kept.me()) this.does(() => this.screens[this.tab].open());
  }

  show() {
    const me = kept.me();
    element("sign-in").hidden = Boolean(me);
    element("tabs").hidden = !me;
    element("offline").hidden = !link.offline;
    for (const name of TABS) element(name).hidden = !me || name !== this.tab;
    for (const link of element("tabs").children) {
      if (link.hash === `#${this.tab}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (me) this.screens[this.tab].show(me);
  }

  rider(category) {
    const key = `tariff.category.${category}`;
    return this.words.has(key) ? this.words.say(key) : (this.city.categories[category] ?? category);
  }

  riders(riders) {
    return riders.map(({ category, count }) => `${this.rider(category)}${count > 1 ? ` × ${count}` : ""}`).join(", ");
  }

  speak() {
    document.documentElement.lang = this.words.language;
    document.title = this.words.say("title");
    for (const one of document.querySelectorAll("[data-text]")) one.textContent = this.words.say(one.dataset.text);
    for (const one of document.querySelectorAll("[data-label]")) {
      one.setAttribute("aria-label", this.words.say(one.dataset.label));
    }
    element("languages").replaceChildren(...LANGUAGES.map((language) => this.languageButton(language)));
    element("tabs").replaceChildren(
      ...TABS.map((name) => make("a", { href: `#${name}`, textContent: this.words.say(`tab.${name}`) })),
    );
    this.complain("");
    this.show();
  }

  languageButton(language) {
    const chosen = String(language === this.words.language);
    const made = make("button", { type: "button", lang: language, attributes: { "aria-pressed": chosen } });
    made.textContent = { kk: "ҚАЗ", ru: "РУС", en: "ENG" }[language];
    made.addEventListener("click", () => {
      this.words.choose(language);
      this.speak();
      document.querySelector(`#languages [lang=${language}]`).focus();
    });
    return made;
  }
}

const read = async (name) => (await fetch(`/phone/${name}`)).json();
const [catalogue, city] = await Promise.all([read("texts.json"), read("city.json")]);
const asked = new URLSearchParams(location.search).get("lang");
const page = new Page(new Words(catalogue, LANGUAGES.includes(asked) ? asked : firstLanguage()), city);
page.speak();
try {
  await page.refresh();
} catch (error) {
  // Without a network, who was signed in stays so on this phone; tickets that were paid are shown.
  if (error instanceof Refused && error.message === "signed_out") page.leave();
}
page.open();
document.body.dataset.ready = "yes";
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/phone/worker.js").catch(() => {});
