// Disputed rides: what passengers and the books do not agree on.

import { Refused, ask } from "./ask.js";
import { button, field, make, moment, money, table } from "./parts.js";

const number = (text) => ({ text, number: true });
const NEXT = {
  open: ["answer", "accept", "withdraw"],
  answered: ["answer", "accept", "reject", "withdraw"],
  rejected: ["appeal"],
};
const DECISIONS = ["accept", "reject"];
const NOTED = ["answer", "reject"]; // what the other side has to be able to read

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
      [
        { text: words.say("ride_of") },
        number(words.say("amount")),
        ...["opened_by", "when", "state"].map((name) => ({ text: words.say(name) })),
      ],
      listed.map((one) => [
        one.ride_key,
        money(one.claimed_tiyn, words.language),
        one.opened_by,
        moment(one.opened_ms, words),
        claimOf(page, one),
      ]),
    ),
  ];
}

/** The state, what was said so far, and a button for each step that may follow and is not another's to take. */
function claimOf(page, one) {
  const { words } = page;
  const mine = (step) =>
    page.may("ask_refund") && (!DECISIONS.includes(step) || (one.opened_by !== page.me.name && page.may("approve_refund")));
  const appealed = one.steps.some((taken) => taken.step === "appeal");
  const steps = (NEXT[one.state] ?? []).filter((step) => mine(step) && !(step === "appeal" && appealed));
  const note = make("input", { maxLength: 200 });
  const take = (step) => () =>
    page.act(async () => {
      const said = { step, note: note.value.trim() };
      if (NOTED.includes(step) && !said.note) {
        note.focus();
        throw new Refused(400, "note_needed");
      }
      const taken = await ask(`disputes/step?id=${encodeURIComponent(one.dispute_id)}`, said);
      await page.open("disputes");
      return outcomeOf(words, taken);
    });
  const made = make("div", { className: "claim" }, make("span", { textContent: words.say(`dispute_state.${one.state}`) }));
  if (one.steps.length) {
    const lines = one.steps.map((taken) => {
      const text = `${moment(taken.at_ms, words)} ${taken.by}: ${words.say(`step_done.${taken.step}`)}`;
      return make("li", { textContent: taken.note ? `${text} – ${taken.note}` : text });
    });
    made.append(make("ol", { className: "history" }, ...lines));
  }
  if (steps.length) {
    const buttons = steps.map((step) => button(words.say(`step.${step}`), take(step)));
    made.append(field(words.say("note"), note), make("span", { className: "row" }, ...buttons));
  }
  return made;
}

/** What became of a step; of one that was accepted, also whether the money has gone back. */
function outcomeOf(words, taken) {
  const said = words.say(`dispute.${taken.outcome}`);
  if (!taken.state) return said;
  const key = `refund_state.${taken.state}`;
  return `${said} ${words.say("dispute.money", { state: words.say(words.has(key) ? key : `refund.${taken.state}`) })}`;
}

function tiyn(text) {
  const [whole, rest = ""] = text.replace(",", ".").split(".");
  return Number(whole) * 100 + Number(rest.padEnd(2, "0"));
}
