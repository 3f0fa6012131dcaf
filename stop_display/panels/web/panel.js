"use strict";
// `/panel#KEY`: asks the server what the board of this key shows, and goes there. Says in three languages if it cannot.

const ASK_AGAIN_MS = 5000;
const REFUSED_AGAIN_MS = 30000;
const KEEP_MAX_MS = 2000;
const PANEL_LANGUAGES = ["kk", "ru", "en"];

const node = (id) => document.getElementById(id);
const key = panelKey();
let texts = null;

function say(name) {
  const said = node("said");
  said.textContent = "";
  if (!texts) return;
  PANEL_LANGUAGES.forEach((language) => {
    const line = said.appendChild(document.createElement("p"));
    line.lang = language;
    line.textContent = texts[language][name];
  });
  Array.prototype.forEach.call(document.querySelectorAll("[data-key]"), (label) => {
    label.textContent = texts[label.lang].enter_key;
  });
}

function ask() {
  askAs(key, "GET", "/api/panels/configuration", null, (status, answer) => {
    const kept = stored(ADDRESS_NAME);
    if (status === 200 && answer) {
      stored(ADDRESS_NAME, answer.address);
      keepPage(() => go(answer.address));
    } else if (status === 401 || status === 429) {
      stored(ADDRESS_NAME, null);
      say("key_refused");
      node("form").hidden = false;
      setTimeout(ask, REFUSED_AGAIN_MS);
    } else if (kept) {
      go(kept); // the server is not there: the board itself may still have its timetable
    } else {
      say("connecting");
      setTimeout(ask, ASK_AGAIN_MS);
    }
  });
}

/** A kiosk starts here, also without a network; browsers keep pages only from https or from the machine itself. */
function keepPage(done) {
  const workers = navigator.serviceWorker;
  let waits = true;
  const once = () => {
    if (waits) done();
    waits = false;
  };
  setTimeout(once, KEEP_MAX_MS);
  if (!workers) return once();
  const files = performance.getEntriesByType("resource").map((one) => one.name);
  return workers
    .register("/board-worker.js", { scope: "/panel" })
    .then((made) => (made.active || made.waiting || made.installing).postMessage({ keep: files.concat(location.pathname) }))
    .then(once, once);
}

/** The key stays out of the address, and so out of logs and photographs, wherever the browser can keep it. */
function go(address) {
  location.replace(stored(KEY_NAME) === key ? address : `${address}#${key}`);
}

node("form").onsubmit = (event) => {
  event.preventDefault();
  location.hash = node("key").value.trim();
};
window.addEventListener("hashchange", () => location.reload());

askAs("", "GET", "/static/panel/texts.json", null, (status, answer) => {
  texts = answer;
  if (key) {
    say("connecting");
    ask();
  } else {
    say("no_key");
    node("form").hidden = false;
  }
});
