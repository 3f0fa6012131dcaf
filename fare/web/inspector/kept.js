// What the phone keeps while there is no connection: the session, the list of the bus, entries and showings to be sent,
// and which entries were refused, until somebody has read why.

const PREFIX = "ayaldama.inspector.";
const SHOWN_MAX = 500; // a day without a connection
const REFUSED_MAX = 50;

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
    return true;
  } catch {
    return false;
  }
}

export const kept = {
  session: () => read("session"),
  keepSession: (session) => write("session", session),
  list: () => read("list"),
  keepList: (list) => write("list", list),
  shown: () => read("shown") ?? [],
  addShown: (showing) => write("shown", [...kept.shown(), showing].slice(-SHOWN_MAX)),
  forgetShown: () => write("shown", null),
  dropShown: (ids) => write("shown", kept.shown().filter((one) => !ids.has(one.showing_id))),
  entries: () => read("entries") ?? [],
  addEntry: (entry) => write("entries", [...kept.entries(), entry]),
  refused: () => read("refused") ?? [],
  addRefused: (entries) => write("refused", [...kept.refused(), ...entries].slice(-REFUSED_MAX)),
  forgetRefused: () => write("refused", null),
  dropEntries: (ids) => write("entries", kept.entries().filter((entry) => !ids.has(entry.entry_id))),
};
