// What was paid: rides with their receipts, and money that came in.

import { ask } from "./ask.js";
import { button, element, make, money } from "./parts.js";

export class History {
  constructor(page) {
    this.page = page;
    this.told = null;
    element("print").addEventListener("click", () => print());
  }

  async open() {
    this.told = await ask("history");
  }

  show() {
    if (!this.told) return;
    const rows = [
      ...this.told.rides.map((ride) => [ride.tapped_ms, this.ride(ride)]),
      ...this.told.moves.map((move) => [move.occurred_ms, this.move(move)]),
    ].sort(([one], [other]) => other - one);
    element("history-none").hidden = rows.length > 0;
    element("rides").replaceChildren(...rows.map(([, row]) => row));
  }

  ride(ride) {
    const { words } = this.page;
    const what = words.say("ticket.of", { number: ride.number, route: ride.route });
    const by = ride.card ? words.say("history.card", { name: ride.card }) : words.say(`kind.${ride.medium_kind}`);
    const row = button("", () => this.receipt(ride), { className: "choice" });
    row.append(
      make("span", {}, make("b", { textContent: what }), make("br"), `${this.moment(ride.tapped_ms)}, ${by}`),
      make("b", { className: "amount", textContent: money(-ride.charged_tiyn, words.language) }),
    );
    return make("li", {}, row);
  }

  move(move) {
    const { words } = this.page;
    const card = move.card ? `, ${words.say("history.card", { name: move.card })}` : "";
    const row = make(
      "div",
      { className: "choice" },
      make("span", {}, make("b", { textContent: words.say(`history.${move.kind}`) }), make("br"), `${this.moment(move.occurred_ms)}${card}`),
      make("b", { className: "amount", textContent: money(move.amount_tiyn, words.language) }),
    );
    return make("li", {}, row);
  }

  receipt(ride) {
    const { words } = this.page;
    const tenge = (tiyn) => money(tiyn, words.language);
    const subsidy = ride.parts.reduce((sum, part) => sum + part.subsidy_tiyn, 0);
    const riders = this.page.riders(ride.riders.length ? ride.riders : ride.parts.map(({ category }) => ({ category, count: 1 })));
    const lines = [
      ["number", ride.key],
      ["carrier", ride.carrier],
      ["time", this.moment(ride.tapped_ms)],
      ["bus", [ride.number, ride.route].filter(Boolean).join(", ")],
      ["stop", ride.stop],
      ["riders", riders],
      ["paid", tenge(ride.charged_tiyn)],
      ["subsidy", subsidy ? tenge(subsidy) : ""],
    ].filter(([, value]) => value);
    element("receipt-lines").replaceChildren(
      ...lines.flatMap(([key, value]) => [
        make("dt", { textContent: words.say(`receipt.${key}`) }),
        make("dd", { textContent: value }),
      ]),
    );
    element("receipt").showModal();
  }

  moment(atMs) {
    const parts = { day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit", timeZone: this.page.city.zone };
    return new Date(atMs).toLocaleString("ru", parts);
  }
}
