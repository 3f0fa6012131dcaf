// The accountant's page: sign in, then one view at a time. What somebody may not see is not offered, and not answered.

import { Refused, ask, keepToken } from "./ask.js";
import { make } from "./parts.js";
import { VIEWS } from "./views.js";
import { LANGUAGES, Words, firstLanguage } from "./words.js";

const element = (id) => document.getElementById(id);

class Page {
  constructor(words) {
    this.words = words;
    this.me = null;
    this.opened = null;
    this.openings = 0;
    this.waiting = 0;
    this.does(element("sign-in"), () => this.signIn());
    element("sign-out").addEventListener("click", () => this.act(() => this.signOut()));
  }

  may(right) {
    return Boolean(this.me?.rights.includes(right));
  }

  say(text) {
    element("said").textContent = text;
  }

  complain(text) {
    element("complaint").textContent = text;
  }

  /** Do what a form asks; whatever goes wrong is said. */
  does(form, action) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.act(action);
    });
  }

  async act(action) {
    this.complain("");
    this.say("");
    this.waits(1);
    try {
      const said = await action();
      if (said) this.say(said);
    } catch (error) {
      this.fails(error);
    } finally {
      this.waits(-1);
    }
  }

  waits(more) {
    this.waiting += more;
    document.body.setAttribute("aria-busy", String(this.waiting > 0));
  }

  fails(error) {
    if (error instanceof Refused && error.message === "signed_out") this.leave();
    const key = `error.${error instanceof Refused ? error.message : "unreachable"}`;
    this.complain(this.words.say(this.words.has(key) ? key : "error.refused"));
  }

  async signIn() {
    const sent = { name: element("name").value, password: element("password").value, code: element("code").value };
    element("password").value = element("code").value = "";
    await this.enter(await ask("sign-in", sent));
  }

  async enter(me) {
    this.me = me;
    keepToken(me.csrf);
    this.show();
    await this.open(VIEWS.find((view) => view.rights.some((right) => this.may(right)))?.name);
  }

  async signOut() {
    await ask("sign-out", {});
    this.leave();
  }

  leave() {
    this.me = this.opened = null;
    this.openings += 1;
    keepToken("");
    element("view").replaceChildren();
    this.show();
  }

  async open(name) {
    const view = VIEWS.find((one) => one.name === name);
    if (!view) {
      this.complain(this.words.say("nothing_here"));
      return;
    }
    this.opened = name;
    this.show();
    this.openings += 1;
    const opening = this.openings;
    const made = await view.show(this);
    if (opening === this.openings) element("view").replaceChildren(...made); // else another was opened meanwhile
  }

  show() {
    element("sign-in").hidden = Boolean(this.me);
    element("me").hidden = element("views").hidden = !this.me;
    if (!this.me) return;
    element("who").textContent = `${this.me.name}, ${this.words.say(`role.${this.me.role}`)}`;
    const offered = VIEWS.filter((view) => view.rights.some((right) => this.may(right)));
    element("views").replaceChildren(
      ...offered.map((view) => {
        const made = make("button", { type: "button", textContent: this.words.say(`view.${view.name}`) });
        if (view.name === this.opened) made.setAttribute("aria-current", "page");
        made.addEventListener("click", () => this.act(() => this.open(view.name)));
        return made;
      }),
    );
  }

  speak() {
    document.documentElement.lang = this.words.language;
    document.title = this.words.say("title");
    for (const one of document.querySelectorAll("[data-text]")) one.textContent = this.words.say(one.dataset.text);
    for (const one of document.querySelectorAll("[data-label]")) {
      one.setAttribute("aria-label", this.words.say(one.dataset.label));
    }
    const buttons = LANGUAGES.map((language) => {
      const made = make("button", { type: "button", lang: language });
      made.textContent = { kk: "ҚАЗ", ru: "РУС", en: "ENG" }[language];
      made.setAttribute("aria-pressed", String(language === this.words.language));
      made.addEventListener("click", () => {
        this.words.choose(language);
        this.speak();
        document.querySelector(`#languages [lang=${language}]`).focus();
        if (this.opened) this.act(() => this.open(this.opened));
      });
      return made;
    });
    element("languages").replaceChildren(...buttons);
    this.complain("");
    this.show();
  }
}

const catalogue = await (await fetch("/books/texts.json")).json();
const page = new Page(new Words(catalogue, firstLanguage()));
page.speak();
try {
  await page.enter(await ask("me"));
} catch (error) {
  if (!(error instanceof Refused && error.status === 401)) page.fails(error);
}
page.show();
document.body.dataset.ready = "yes";
