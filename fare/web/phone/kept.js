// What the phone keeps for when there is no network: who is signed in, wallet and passes as last seen, paid tickets.
// No number, no token: the number is not kept at all, and the session is a cookie that scripts cannot read.

const PREFIX = "ayaldama.phone.";
const NAMES = ["me", "tickets", "top-up"];

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null; // storage is switched off or was written by something else: nothing is kept
  }
}

function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // the page goes on with what it was just told
  }
}

export const kept = {
  /** The last answer of `me`, with how far the server's clock is ahead of ours. */
  me: () => read("me"),
  keepMe: (me) => write("me", me && { ...me, csrf: undefined, ahead_ms: me.now_ms - Date.now() }),
  now: () => Date.now() + (read("me")?.ahead_ms ?? 0),
  tickets: () => (read("tickets") ?? []).filter((ticket) => ticket.until_ms > kept.now()),
  keepTickets: (tickets) => write("tickets", tickets),
  addTicket: (ticket) => {
    write("tickets", [ticket, ...kept.tickets().filter((other) => other.key !== ticket.key)]);
  },
  /** The number of a top-up that the bank has not confirmed yet: its page leads away and back. */
  topUp: () => read("top-up"),
  keepTopUp: (invoice) => write("top-up", invoice),
  forget: () => NAMES.forEach((name) => write(name, null)),
};
