// Top-ups: found by number or telephone, and what is unused given back to where it came from.

import { ask } from "./ask.js";
import { askedFor, decision } from "./decision.js";
import { field, make, moment, money, table, twice } from "./parts.js";

const number = (text) => ({ text, number: true });

export async function topUps(page) {
  const { words } = page;
  const of = make("input", { maxLength: 40, inputMode: "tel", autocomplete: "off" });
  const found = make("div");
  const show = async () => {
    const shown = await ask("top-ups", { of: of.value });
    found.replaceChildren(...topUpsOf(page, shown.top_ups, show), ...askedOf(page, shown.asked, show));
  };
  const form = make("form", {}, field(words.say("top_up_or_phone"), of), make("button", { textContent: words.say("show") }));
  page.does(form, show);
  await show();
  return [make("p", { className: "hint", textContent: words.say("top_ups.how") }), form, found];
}

function topUpsOf(page, listed, show) {
  const { words } = page;
  const columns = [
    { text: words.say("top_up") },
    ...["amount", "gone_back", "unused"].map((name) => number(words.say(name))),
    ...["bank", "when", "state", "act"].map((name) => ({ text: words.say(name) })),
  ];
  const tenge = (tiyn) => money(tiyn, words.language);
  const rows = listed.map((one) => [
    one.invoice,
    tenge(one.amount_tiyn),
    tenge(one.back_tiyn),
    tenge(one.unused_tiyn),
    words.say(`bank_of.${one.bank}`),
    moment(one.created_ms, words),
    words.say(`top_up_state.${one.state}`),
    one.unused_tiyn > 0 ? giveBack(page, one, show) : "",
  ]);
  return listed.length ? [table(words.say("view.top_ups"), columns, rows)] : [make("p", { textContent: words.say("top_ups.none") })];
}

/** Why, and a button that names the amount before anything moves. */
function giveBack(page, one, show) {
  const { words } = page;
  const key = crypto.randomUUID(); // the same until the list is shown anew: a lost answer gives nothing back twice
  const why = make("input", { maxLength: 200 });
  const give = () =>
    page.act(async () => {
      if (!why.value.trim()) {
        why.focus();
        return words.say("why_needed");
      }
      const given = await ask("top-up-refunds", { key, invoice: one.invoice, amount_tiyn: one.unused_tiyn, why: why.value });
      await show();
      const amount = money(given.amount_tiyn, words.language);
      return words.say(`back.${given.state === "waiting" ? "waiting" : given.outcome}`, { amount });
    });
  const sure = words.say("give_back_sure", { amount: money(one.unused_tiyn, words.language) });
  return make("div", { className: "claim" }, field(words.say("why"), why), twice(words.say("ask_refund"), sure, words.say("keep"), give));
}

function askedOf(page, asked, show) {
  return askedFor(page, asked, {
    caption: "top_ups.asked",
    what: "top_up",
    named: (one) => one.invoice,
    decided: (one) => decisionOf(page, one, show),
  });
}

function decisionOf(page, one, show) {
  if (one.bank_state) return page.words.say(`bank_state.${one.bank_state}`);
  return decision(page, one, one.state, `top-up-refunds/decision?key=${encodeURIComponent(one.key)}`, show);
}
