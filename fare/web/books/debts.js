// Debts, and those that are given up: above a limit by a second person.

import { ask } from "./ask.js";
import { askedFor, decision } from "./decision.js";
import { field, make, money, table, twice } from "./parts.js";

const number = (text) => ({ text, number: true });

export async function debts(page) {
  const { words } = page;
  const [listed, asked] = await Promise.all([ask("debts"), ask("write-offs")]);
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
        ...(acts ? [giveUp(page, one)] : []),
      ]),
    ),
    ...writtenOff(page, asked),
  ];
}

/** Why, and a button that names the amount before anything moves. */
function giveUp(page, one) {
  const { words } = page;
  const key = crypto.randomUUID(); // the same until the list is shown anew: a lost answer gives nothing up twice
  const why = make("input", { maxLength: 200 });
  const give = () =>
    page.act(async () => {
      if (!why.value.trim()) {
        why.focus();
        return words.say("why_needed");
      }
      const sent = { key, medium_id: one.medium_id, amount_tiyn: one.owed_tiyn, why: why.value };
      const taken = await ask("write-offs", sent);
      await page.open("debts");
      const said = taken.state === "waiting" ? "back.waiting" : "written_off";
      return words.say(said, { amount: money(taken.amount_tiyn, words.language) });
    });
  const sure = words.say("write_off_sure", { amount: money(one.owed_tiyn, words.language) });
  return make("div", { className: "claim" }, field(words.say("why"), why), twice(words.say("write_off"), sure, words.say("keep"), give));
}

function writtenOff(page, asked) {
  const path = (one) => `write-offs/decision?key=${encodeURIComponent(one.key)}`;
  return askedFor(page, asked, {
    caption: "debts.given_up",
    what: "medium",
    named: (one) => one.medium_id,
    decided: (one) => decision(page, one, one.state, path(one), () => page.open("debts")),
  });
}
