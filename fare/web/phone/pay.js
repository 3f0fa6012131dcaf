// Paying: which bus, what it costs, the ticket. Where the phone is never leaves it.

import { Refused, ask } from "./ask.js";
import { kept } from "./kept.js";
import { drawCode } from "./own_qr.js";
import { button, drawing, element, grouped, make, money } from "./parts.js";
import { qrReader } from "./scanning.js";

const SCAN_MS = 200;
const NEAR_M = 300;
const NEAR_MAX = 6;
const EARTH_M = 6_371_000;
const ELSEWHERE_M = 1_000; // places of buses are seconds old, and phones know theirs by some hundred metres

const whereabouts = async () =>
  (await new Promise((told, not) => navigator.geolocation.getCurrentPosition(told, not, { timeout: 10_000 }))).coords;

function awayM(bus, here) {
  const north = ((bus.lat - here.latitude) * Math.PI) / 180;
  const east = (((bus.lon - here.longitude) * Math.PI) / 180) * Math.cos((here.latitude * Math.PI) / 180);
  return Math.hypot(north, east) * EARTH_M;
}

export class Pay {
  constructor(page) {
    this.page = page;
    this.quote = null;
    this.camera = null;
    page.listen("bus-form", () => this.choose({ bus: element("bus").value }));
    element("scan").addEventListener("click", () => (this.camera ? this.stopScanning() : this.scan()));
    element("near").addEventListener("click", () => page.does(() => this.findNear()));
    element("buy").addEventListener("click", () => page.does(() => this.buy()));
    element("not-this").addEventListener("click", () => this.drop());
  }

  /** A bus may be named by the page's address: any camera opens it. */
  async open() {
    const [, code] = location.hash.slice(1).split("/");
    if (!code) return;
    history.replaceState(null, "", "#pay");
    await this.choose({ scanned: code });
  }

  /** Ask what a ride on a bus costs, for oneself until others are added. A bus is typed, near, or scanned. */
  async choose(bus) {
    this.drop();
    this.counts = { [this.own]: 1 };
    this.bus = bus;
    await this.ask();
    if (bus.scanned) this.doubt().catch(console.warn);
    element("quote").scrollIntoView({ block: "nearest" });
  }

  async ask() {
    const riders = this.riders;
    const asked = (this.asked = Symbol("asked"));
    const quote = await ask("quotes", { ...this.bus, riders });
    if (asked !== this.asked) return; // others were added meanwhile
    this.quote = { ...quote, riders, key: crypto.randomUUID() };
    this.page.show();
  }

  /** Say so where the bus of a scanned QR is far from here, if this page may know where here is: a QR can be moved. */
  async doubt() {
    const { state } = await navigator.permissions.query({ name: "geolocation" });
    if (state !== "granted") return;
    const [here, { buses }] = await Promise.all([whereabouts(), ask("buses")]);
    const bus = buses.find(({ vehicle_id }) => vehicle_id === this.quote?.vehicle_id);
    if (bus && awayM(bus, here) > ELSEWHERE_M) this.page.complain("pay.elsewhere");
  }

  /** The category that the holder rides as: a right that counts today, or the one of everybody. */
  get own() {
    const today = new Date(kept.now()).toLocaleDateString("sv", { timeZone: this.page.city.zone });
    const held = kept.me().concessions.filter(
      ({ from_date: from, until_date: until }) => from <= today && (!until || today <= until),
    );
    return held[0]?.category ?? this.page.city.default_category;
  }

  get riders() {
    const riding = Object.entries(this.counts).filter(([, count]) => count > 0);
    if (riding.length === 1 && riding[0][0] === this.own && riding[0][1] === 1) return [];
    return riding.map(([category, count]) => ({ category, count }));
  }

  async change(category, by) {
    const count = (this.counts[category] ?? 0) + by;
    const all = Object.values(this.counts).reduce((sum, one) => sum + one, 0) + by;
    if (count < 0 || all < 1) return;
    this.counts[category] = count;
    try {
      await this.ask();
    } catch (error) {
      this.counts[category] = count - by; // the price on the screen is still that of before
      throw error;
    }
  }

  async buy() {
    const { vehicle_id, riders, key, price_tiyn: shown_tiyn } = this.quote;
    element("buy").disabled = true;
    try {
      kept.addTicket(await ask("tickets", { key, vehicle_id, riders, shown_tiyn }));
    } catch (error) {
      if (error.message === "buy_price_changed") await this.ask();
      if (error instanceof Refused) throw error;
      console.warn(error);
      throw new Refused(0, "perhaps_paid"); // the answer is lost: asked again, the same key buys nothing twice
    } finally {
      element("buy").disabled = false;
    }
    this.drop();
    element("bus").value = "";
    element("tickets").scrollIntoView({ block: "start" });
    this.page.renew();
  }

  drop() {
    this.stopScanning();
    this.quote = null;
    element("near-list").replaceChildren();
    this.page.complain("");
    this.page.show();
  }

  async findNear() {
    let here;
    try {
      here = await whereabouts();
    } catch {
      element("near-list").replaceChildren(make("li", { textContent: this.page.words.say("pay.near_denied") }));
      return;
    }
    const { buses } = await ask("buses");
    const near = buses
      .map((bus) => ({ ...bus, away_m: awayM(bus, here) }))
      .filter((bus) => bus.away_m <= NEAR_M)
      .sort((one, other) => one.away_m - other.away_m)
      .slice(0, NEAR_MAX);
    const rows = near.map((bus) => {
      const { words } = this.page;
      const text = `${words.say("pay.bus", { number: bus.number })}, ${words.say("pay.line", { route: bus.route })}`;
      const far = make("span", { className: "quiet", textContent: words.say("pay.near_away", { count: Math.round(bus.away_m) }) });
      const chosen = button(`${text} `, () => this.page.does(() => this.choose({ bus: bus.vehicle_id })), { className: "choice" });
      chosen.append(far);
      return make("li", {}, chosen);
    });
    const none = make("li", { textContent: this.page.words.say("pay.near_none") });
    element("near-list").replaceChildren(...(rows.length ? rows : [none]));
  }

  async scan() {
    try {
      const read = await qrReader();
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      const video = element("camera");
      video.srcObject = stream;
      await video.play();
      const looking = setInterval(async () => {
        const found = await read(video, video.videoWidth, video.videoHeight);
        if (!found || !this.camera) return;
        this.stopScanning();
        this.page.does(() => this.choose({ scanned: found }));
      }, SCAN_MS);
      this.camera = { stream, looking };
    } catch (error) {
      console.warn(error);
      this.page.complain("pay.no_camera");
    }
    this.page.show();
  }

  stopScanning() {
    if (!this.camera) return;
    clearInterval(this.camera.looking);
    for (const track of this.camera.stream.getTracks()) track.stop();
    this.camera = null;
    this.page.show();
  }

  show() {
    const { words } = this.page;
    element("tickets").replaceChildren(...kept.tickets().map((ticket) => this.ticket(ticket)));
    element("choose").hidden = Boolean(this.quote);
    element("camera-frame").hidden = !this.camera;
    element("scan").hidden = !navigator.mediaDevices; // the phone's own camera opens the bus's QR as well
    element("scan").textContent = words.say(this.camera ? "pay.stop_scanning" : "pay.scan");
    element("near").hidden = !("geolocation" in navigator);
    element("quote").hidden = !this.quote;
    if (this.quote) this.showQuote(this.quote);
  }

  ticket(ticket) {
    const { words } = this.page;
    const left = Math.ceil((ticket.until_ms - kept.now()) / 60_000);
    const of = { number: ticket.plate || ticket.number, route: ticket.route };
    const riders = this.page.riders(ticket.riders);
    const facts = [riders, money(ticket.price_tiyn, words.language)].filter(Boolean).join(", ");
    return make(
      "li",
      { className: "ticket" },
      make("h3", { textContent: words.say("ticket.of", of) }),
      make("p", { textContent: `${words.say("ticket.until", { time: words.time(ticket.until_ms) })}, ${words.say("ticket.left", { count: left })}` }),
      make("p", { className: "quiet", textContent: words.say("ticket.code") }),
      make("div", { className: "row" }, make("p", { className: "code", textContent: grouped(ticket.code) }), this.square(ticket)),
      make("p", { className: "quiet", textContent: `${facts}. ${ticket.carrier}` }),
    );
  }

  /** The code as a QR, drawn once for each ticket. */
  square(ticket) {
    this.squares ??= new Map();
    if (!this.squares.has(ticket.code)) {
      this.squares.set(ticket.code, drawing(drawCode(ticket.code), this.page.words.say("ticket.code")));
    }
    return this.squares.get(ticket.code);
  }

  showQuote(quote) {
    const { words } = this.page;
    const tenge = (tiyn) => money(tiyn, words.language);
    element("quote-bus").textContent = words.say("pay.bus", { number: [quote.number, quote.plate].filter(Boolean).join(", ") });
    element("quote-line").textContent = words.say("pay.line", { route: quote.route });
    element("quote-carrier").textContent = words.say("pay.carrier", { carrier: quote.carrier });
    element("quote-signed").hidden = !quote.signed;
    element("quote-missing").hidden = !quote.missing_tiyn;
    element("quote-missing").textContent = words.say("pay.missing", { amount: tenge(quote.missing_tiyn) });
    element("buy").textContent = quote.price_tiyn ? words.say("pay.buy", { amount: tenge(quote.price_tiyn) }) : words.say("pay.free");
    element("buy").disabled = quote.missing_tiyn > 0;
    const why = quote.charges.map((charge) =>
      make("li", { textContent: `${this.page.riders([charge])}: ${tenge(charge.charged_tiyn)}, ${this.reason(charge)}` }),
    );
    element("quote-why").replaceChildren(...why);
    const focused = document.activeElement?.dataset.step;
    element("riders").replaceChildren(...this.categories.map((category) => this.stepper(category)));
    if (focused) element("riders").querySelector(`[data-step="${focused}"]`)?.focus();
  }

  reason(charge) {
    const { words } = this.page;
    const amounts = { full: money(charge.full_tiyn, words.language), cap: money(charge.capped_tiyn, words.language) };
    return words.say(`tariff.reason.${charge.reason}`, amounts);
  }

  get categories() {
    return [...new Set([this.own, this.page.city.default_category, ...this.page.city.companions])];
  }

  stepper(category) {
    const who = this.page.rider(category);
    const step = (key, sign, by) => {
      const made = button(sign, () => this.page.does(() => this.change(category, by)), {
        attributes: { "aria-label": this.page.words.say(key, { who }) },
      });
      made.dataset.step = `${category}${by}`;
      return made;
    };
    const count = make("output", { textContent: String(this.counts[category] ?? 0) });
    return make("div", { className: "stepper" }, make("span", { textContent: who }), step("pay.fewer", "−", -1), count, step("pay.more", "+", 1));
  }
}
