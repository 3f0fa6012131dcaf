// Keeps the page's own files, so that it opens without a connection. What is said of passengers is never kept here.

const CACHE = "inspector-3";
const LIBRARY = ["/vendor/qr/decode.js", "/vendor/qr/index.js"];
const FILES = [
  "./",
  "app.js",
  "codes.js",
  "kept.js",
  "own_code.js",
  "page.css",
  "verdict.js",
  "words.js",
  "texts.json",
  "manifest.webmanifest",
];

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(FILES);
    await cache.addAll(LIBRARY).catch(() => {}); // where it is not installed, codes are typed
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const forget = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith("inspector-") && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(forget());
});

// The server first, so that a new version is used at once; without it, what is kept.
self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.method !== "GET") return;
  if (!pathname.startsWith("/inspector/") && !LIBRARY.includes(pathname)) return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    try {
      const fresh = await fetch(event.request);
      if (fresh.ok) await cache.put(event.request, fresh.clone());
      return fresh;
    } catch (error) {
      const old = await cache.match(event.request);
      if (old) return old;
      throw error;
    }
  };
  event.respondWith(answer());
});
