// The wallet: balance, rights, passes, cards, and the number itself.

import encodeQR from "/vendor/qr/index.js";
import { ask, link } from "./ask.js";
import { kept } from "./kept.js";
import { button, drawing, element, make, money } from "./parts.js";

const LOOK_MS = 5_000;
const OPEN = new Set(["created", "pending"]);
const TIYN = 100;

export class Wallet {
  constructor(page) {
    this.page = page;
    this.forgetting = null;
    this.banks = null;
    this.topUp = null;
    element("top-up").addEventListener("submit", (event) => event.preventDefault());
    setInterval(() => this.look(), LOOK_MS);
    page.listen("link-form", () => this.link());
    page.listen("forget-form", () => this.askToForget());
    page.listen("forget-code-form", () => this.forget());
    element("sign-out").addEventListener("click", () => page.does(() => this.signOut(false)));
    element("sign-out-everywhere").addEventListener("click", () => page.does(() => this.signOut(true)));
  }

  async open() {
    await this.page.refresh();
    this.banks = await ask("banks");
    if (!this.topUp && kept.topUp()) this.topUp = { invoice: kept.topUp(), link: "", qr: "", state: "pending" };
  }

  /** Begin to top up: the same wish asked again is the same payment. */
  async begin(bank) {
    const amount_tiyn = Number(element("amount").value) * TIYN;
    const { min_tiyn: least, max_tiyn: most } = this.banks;
    if (!(amount_tiyn >= least && amount_tiyn <= most && Number.isInteger(amount_tiyn))) {
      const { language } = this.page.words;
      this.page.complain("error.wrong_amount", { least: money(least, language), most: money(most, language) });
      return;
    }
    const wish = `${bank} ${amount_tiyn}`;
    if (this.wish?.of !== wish) this.wish = { of: wish, key: crypto.randomUUID() };
    const begun = await ask("top-ups", { key: this.wish.key, bank, amount_tiyn, language: this.page.words.language });
    this.wish = null;
    kept.keepTopUp(begun.invoice);
    this.topUp = { ...begun, state: "pending" };
  }

  /** Ask how the top-up stands until the bank has said it. */
  async look() {
    if (!this.topUp || !OPEN.has(this.topUp.state) || document.hidden || this.page.tab !== "wallet") return;
    try {
      this.topUp = { ...this.topUp, ...(await ask(`top-ups/${this.topUp.invoice}`)) };
      if (!OPEN.has(this.topUp.state)) {
        kept.keepTopUp(null);
        await this.page.refresh();
      }
    } catch (error) {
      console.warn(error);
      if (error.status === 404) this.topUp = kept.keepTopUp(null) ?? null;
    }
    this.page.show();
  }

  async link() {
    const sent = {
      vehicle_id: element("link-bus").value.trim(),
      touch_code: element("link-touch").value,
      printed_code: element("link-printed").value,
    };
    await ask("cards", sent);
    element("link-form").reset();
    await this.page.refresh();
  }

  async remove(card) {
    await ask("cards/remove", { card_id: card.card_id });
    await this.page.refresh();
  }

  async signOut(everywhere) {
    await ask("sign-out", { everywhere });
    this.page.leave();
  }

  async askToForget() {
    const number = element("forget-number").value;
    const sent = await ask("code", { number, language: this.page.words.language, purpose: "forget" });
    this.forgetting = sent.challenge;
    element("forget-code-form").hidden = false;
    element("forget-code").focus();
  }

  async forget() {
    await ask("forget", { challenge: this.forgetting, code: element("forget-code").value });
    element("forget-code-form").hidden = true;
    for (const form of ["forget-form", "forget-code-form"]) element(form).reset();
    this.page.leave();
  }

  show(me) {
    const { words } = this.page;
    element("balance").textContent = money(me.balance_tiyn, words.language);
    element("as-of").hidden = !link.offline;
    element("as-of").textContent = words.say("wallet.as_of", { time: words.time(me.now_ms) });
    element("signed-in-as").textContent = words.say("account.signed_in", { hint: me.hint });
    this.showTopUp();
    const rights = this.rights(me);
    const none = make("li", { className: "quiet", textContent: words.say("wallet.no_rights") });
    element("rights").replaceChildren(...(rights.length ? rights.map((text) => make("li", { textContent: text })) : [none]));
    const cards = me.cards.map((card) => this.card(card));
    const noCards = make("li", { className: "quiet", textContent: words.say("wallet.no_cards") });
    element("cards").replaceChildren(...(cards.length ? cards : [noCards]));
  }

  showTopUp() {
    const { words } = this.page;
    const banks = this.banks?.banks ?? [];
    element("top-up").hidden = banks.length === 0;
    element("no-banks").hidden = !this.banks || banks.length > 0;
    const focused = document.activeElement?.dataset.bank;
    const buttons = banks.map((bank) => {
      const key = `bank.${bank}`;
      const name = words.has(key) ? words.say(key) : bank;
      const made = button(words.say("wallet.by", { bank: name }), () => this.page.does(() => this.begin(bank)));
      made.dataset.bank = bank;
      return made;
    });
    element("banks").replaceChildren(...buttons);
    if (focused) element("banks").querySelector(`[data-bank="${focused}"]`)?.focus();
    element("top-up-way").hidden = !this.topUp;
    if (this.topUp && element("top-up-way").dataset.shown !== `${this.topUp.invoice} ${this.topUp.state} ${words.language}`) {
      this.showWay(this.topUp);
    }
  }

  showWay({ invoice, link: address, qr, state, credited, amount_tiyn: amount }) {
    const { words } = this.page;
    const said = (key, values) => make("p", { textContent: words.say(key, values) });
    const way = element("top-up-way");
    way.dataset.shown = `${invoice} ${state} ${words.language}`;
    if (credited) way.replaceChildren(said("wallet.credited", { amount: money(amount, words.language) }));
    else if (!OPEN.has(state)) way.replaceChildren(said("wallet.failed"));
    else {
      const go = address && make("a", { href: address, className: "go", textContent: words.say("wallet.go") });
      const square = qr && drawing(encodeQR(qr, "svg", { ecc: "medium", border: 4 }), words.say("wallet.scan_bank"));
      way.replaceChildren(...[go, square && said("wallet.scan_bank"), square, said("wallet.waiting")].filter(Boolean));
    }
  }

  /** Concessions and passes that have not ended, in words. */
  rights({ concessions, passes }) {
    const { words } = this.page;
    const day = (date) => date.split("-").reverse().join(".");
    const today = new Date(kept.now()).toLocaleDateString("sv", { timeZone: this.page.city.zone });
    const held = concessions.filter(({ until_date: until }) => !until || today <= until);
    const counting = passes.filter(({ until_ms: until }) => kept.now() < until);
    return [
      ...held.map(({ category, until_date: until }) =>
        words.say(until ? "wallet.right" : "wallet.right_ever", { who: this.page.rider(category), date: until && day(until) }),
      ),
      ...counting.map(({ product_id: name, until_ms: until }) =>
        words.say("wallet.pass", { name, date: new Date(until).toLocaleDateString("ru", { timeZone: this.page.city.zone }) }),
      ),
    ];
  }

  card(card) {
    const { words } = this.page;
    const name = words.say("wallet.card", { name: card.name });
    const facts = [money(card.balance_tiyn, words.language), ...this.rights(card)].join("; ");
    const remove = button(words.say("wallet.remove"), () => this.page.does(() => this.remove(card)), {
      attributes: { "aria-label": `${words.say("wallet.remove")}: ${name}` },
    });
    return make("li", { className: "choice" }, make("span", {}, make("b", { textContent: name }), make("br"), facts), remove);
  }
}
