// What waits for a second person: its state, and for whoever may decide it two buttons.

import { ask } from "./ask.js";
import { button, make, moment, money, person, table } from "./parts.js";

/** `again` shows the list anew. Nobody decides what they asked for. */
export function decision(page, one, state, path, again) {
  const { words } = page;
  if (state !== "waiting" || one.asked_by === page.me.name || !page.may("approve_refund")) {
    return words.say(`refund_state.${state}`);
  }
  const decide = (grant) => () =>
    page.act(async () => {
      const taken = await ask(path, { grant });
      await again();
      return words.say(`decision.${taken.outcome}`);
    });
  return make(
    "span",
    { className: "row" },
    button(words.say("approve"), decide(true), "main"),
    button(words.say("decline"), decide(false)),
  );
}

/** What people asked for under a heading, a row each; `named` says of what, `decided` what is in the last column. */
export function askedFor(page, asked, { caption, what, named, decided }) {
  const { words } = page;
  if (!asked.length) return [];
  const columns = [
    { text: words.say(what) },
    { text: words.say("amount"), number: true },
    ...["why", "asked_by", "when", "state"].map((name) => ({ text: words.say(name) })),
  ];
  const rows = asked.map((one) => [
    named(one),
    money(one.amount_tiyn, words.language),
    one.why,
    person(one.asked_by, words),
    moment(one.asked_ms, words),
    decided(one),
  ]);
  return [make("h2", { textContent: words.say(caption) }), table(words.say(caption), columns, rows)];
}
