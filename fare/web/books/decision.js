// What waits for a second person: its state, and for whoever may decide it two buttons.

import { ask } from "./ask.js";
import { button, make } from "./parts.js";

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
