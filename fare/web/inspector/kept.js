// What the phone keeps while there is no connection: the session, the list of the bus, the entries to be sent.

const PREFIX = "ayaldama.inspector.";

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
  entries: () => read("entries") ?? [],
  addEntry: (entry) => write("entries", [...kept.entries(), entry]),
  dropEntries: (ids) => write("entries", kept.entries().filter((entry) => !ids.has(entry.entry_id))),
};
