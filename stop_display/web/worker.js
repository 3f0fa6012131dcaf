"use strict";
// Keeps the page of boards for a start without a network. Browsers run it only from https or from the machine itself.
// What the server answers comes first; what was kept stands in when it does not answer. No answer of the API is kept.

const CACHE = "ayaldama-board-1";
const WAIT_MS = 4000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

/** A page says what it consists of, as it was loaded before there was a worker. */
self.addEventListener("message", (event) => {
  const keep = (url) => fetch(url, { cache: "no-cache" }).then((answer) => store(url, answer)).catch(() => {});
  event.waitUntil(Promise.all((event.data.keep || []).filter((url) => named(new URL(url, location.href))).map(keep)));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || !named(url) || isPage(url) !== (request.mode === "navigate")) return;
  const answered = fetch(request).then((answer) => {
    event.waitUntil(store(request.url, answer.clone()));
    return answer;
  });
  const late = new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  const timely = Promise.race([answered, late]).catch(() => undefined);
  event.respondWith(
    timely.then((answer) => (answer && answer.status < 500 ? answer : caches.match(name(url)).then((kept) => kept || answered)))
  );
});

function isPage(url) {
  return !/^\/(static|vendor|api)\//.test(url.pathname);
}

/** Whether something is kept; all boards are one page, whatever their stops. */
function named(url) {
  return url.origin === location.origin && url.pathname.indexOf("/api/") !== 0;
}

function name(url) {
  return isPage(url) ? `/${url.pathname.split("/")[1]}` : url.pathname;
}

function store(url, answer) {
  if (answer.status !== 200 || answer.redirected) return Promise.resolve(); // some network's own page
  return caches.open(CACHE).then((cache) => cache.put(name(new URL(url, location.href)), answer));
}
