// Where the phone's private key lives: IndexedDB keeps it as the browser made it, and nobody can read it out.

const NAME = "ayaldama.phone";
const STORE = "keys";
const KEY = "own";

function open() {
  return new Promise((done, fail) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

async function within(mode, action) {
  const database = await open();
  try {
    return await new Promise((done, fail) => {
      const transaction = database.transaction(STORE, mode);
      const request = action(transaction.objectStore(STORE));
      transaction.oncomplete = () => done(request.result);
      transaction.onabort = transaction.onerror = () => fail(transaction.error);
    });
  } finally {
    database.close();
  }
}

export const ownKeys = {
  /** `{keys, until_ms}` as registered with the server, undefined if there are none. */
  read: () => within("readonly", (store) => store.get(KEY)),
  keep: (held) => within("readwrite", (store) => store.put(held, KEY)),
  forget: () => within("readwrite", (store) => store.delete(KEY)),
};
