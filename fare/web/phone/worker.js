// Keeps the page's own files, so that it opens without a connection. Answers about people are never kept here.

const CACHE = "phone-1";
const FILES = [
  "./",
  "app.js",
  "ask.js",
  "city.json",
  "codes.js",
  "history.js",
  "icon.svg",
  "kept.js",
  "keys.js",
  "manifest.webmanifest",
  "own.js",
  "own_qr.js",
  "page.css",
  "parts.js",
  "pay.js",
  "scanning.js",
  "texts.json",
  "wallet.js",
  "words.js",
  "/vendor/qr/index.js",
];
const LIBRARY = "/vendor/qr/";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const forget = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith("phone-") && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(forget());
});

// The server first, so that a new version is used at once; without it, what is kept. Whatever stands behind the page's
// address (a bus, a language) is the same page.
self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  const ours = pathname.startsWith("/phone/") || pathname.startsWith(LIBRARY);
  if (event.request.method !== "GET" || !ours) return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    try {
      const fresh = await fetch(event.request);
      if (fresh.ok && !fresh.redirected) await cache.put(pathname, fresh.clone());
      return fresh;
    } catch (error) {
      const old = (await cache.match(pathname)) ?? (event.request.mode === "navigate" && (await cache.match("./")));
      if (old) return old;
      throw error;
    }
  };
  event.respondWith(answer());
});
