// Disputed rides and debts: what passengers and the books do not agree on.

import { ask } from "./ask.js";
import { button, field, make, moment, money, table } from "./parts.js";

const number = (text) => ({ text, number: true });
const NEXT = {
  open: ["answer", "accept", "withdraw"],
  answered: ["answer", "accept", "reject", "withdraw"],
  rejected: ["appeal"],
};
const DECISIONS = ["accept", "reject"];

export async function disputes(page) {
  const { words } = page;
  const ride = make("input", { required: true, placeholder: "validator:123", maxLength: 80 });
  const claimed = make("input", { required: true, inputMode: "decimal", pattern: "\\d{1,7}([.,]\\d{1,2})?" });
  const form = make(
    "form",
    {},
    field(words.say("ride"), ride),
    field(words.say("amount"), claimed),
    make("button", { className: "main", textContent: words.say("open_dispute") }),
  );
  let id = crypto.randomUUID(); // the same until it is answered: a lost answer opens no second one
  page.does(form, async () => {
    const sent = { dispute_id: id, ride_key: ride.value.trim(), claimed_tiyn: tiyn(claimed.value) };
    const opened = await ask("disputes", sent);
    id = crypto.randomUUID();
    await page.open("disputes");
    page.say(words.say(`dispute.${opened.outcome}`));
  });
  const listed = await ask("disputes");
  return [
    ...(page.may("ask_refund") ? [form] : []),
    table(
      words.say("view.disputes"),
      ["when", "ride", "asked_by", "state"].map((name) => ({ text: words.say(name) })).concat(number(words.say("amount"))),
      listed.map((one) => [
        moment(one.opened_ms),
        one.ride_key,
        one.opened_by,
        stepsOf(page, one),
        money(one.claimed_tiyn, words.language),
      ]),
    ),
  ];
}

/** The state, and a button for each step that may follow and is not another's to take. */
function stepsOf(page, one) {
  const { words } = page;
  const mine = (step) =>
    page.may("ask_refund") && (!DECISIONS.includes(step) || (one.opened_by !== page.me.name && page.may("approve_refund")));
  const appealed = one.steps.some((taken) => taken.step === "appeal");
  const steps = (NEXT[one.state] ?? []).filter((step) => mine(step) && !(step === "appeal" && appealed));
  const take = (step) => () =>
    page.act(async () => {
      const taken = await ask(`disputes/step?id=${encodeURIComponent(one.dispute_id)}`, { step });
      await page.open("disputes");
      return words.say(`dispute.${taken.outcome}`);
    });
  return make(
    "span",
    { className: "row" },
    make("span", { textContent: words.say(`dispute_state.${one.state}`) }),
    ...steps.map((step) => button(words.say(`step.${step}`), take(step))),
  );
}

export async function debts(page) {
  const { words } = page;
  const listed = await ask("debts");
  const giveUp = (one, key) => () =>
    page.act(async () => {
      const sent = { key, medium_id: one.medium_id, amount_tiyn: one.owed_tiyn };
      const taken = await ask("write-offs", sent);
      await page.open("debts");
      return words.say("written_off", { amount: money(taken.amount_tiyn, words.language) });
    });
  const columns = [{ text: words.say("medium") }, number(words.say("amount"))];
  const acts = page.may("approve_refund");
  return [
    make("p", { className: "hint", textContent: words.say("debts.how") }),
    table(
      words.say("view.debts"),
      acts ? [...columns, { text: words.say("act") }] : columns,
      listed.map((one) => [
        one.medium_id,
        money(one.owed_tiyn, words.language),
        ...(acts ? [button(words.say("write_off"), giveUp(one, crypto.randomUUID()))] : []),
      ]),
    ),
  ];
}

function tiyn(text) {
  const [whole, rest = ""] = text.replace(",", ".").split(".");
  return Number(whole) * 100 + Number(rest.padEnd(2, "0"));
}
