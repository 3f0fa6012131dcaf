// The start page: find a stop by name or number, by where one stands, or among those saved.

import { Page, element, fetchJson, put, show } from "./page.js";
import { Favourites, listStops } from "./places.js";

const TYPED_MS = 200;
const FOUND_MAX = 12;
const PLACE_MAX_MS = 15000;
const PLACE_OLD_MS = 60000;

const favourites = new Favourites();
let found = null; // stops, "failed", or null while nothing is asked
let near = null; // stops, or the key of what is to be said
let asked = 0;

const page = new Page(() => {
  document.title = `${page.words.say("page.stops")} · Ayaldama`;
  element("query").placeholder = page.words.say("page.find_hint");
  showUnknown();
  showFound();
  showNear();
  showFavourites();
});

/** A code from a stop's sign that no stop has: the address is then `/s/CODE`. */
function showUnknown() {
  const code = /^\/s\/(.+)$/.exec(location.pathname);
  show(element("unknown"), Boolean(code));
  if (code) put(element("unknown"), page.words.say("page.no_code", { code: decoded(code[1]) }));
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return text;
  }
}

function showFound() {
  const stops = Array.isArray(found) ? found : [];
  const said = found === "failed" ? "page.failed" : found && !stops.length ? "page.nothing" : "";
  put(element("found-words"), said && page.words.say(said));
  listStops(element("found"), stops, page.words);
}

function showNear() {
  show(element("near-part"), near !== null);
  const stops = Array.isArray(near) ? near : [];
  put(element("near-words"), page.words.say(typeof near === "string" ? near : "page.straight"));
  listStops(element("near"), stops, page.words);
}

function showFavourites() {
  const saved = favourites.all();
  put(element("favourites-words"), saved.length ? "" : page.words.say("page.favourites_none"));
  listStops(element("favourites"), saved, page.words);
}

async function search() {
  const query = element("query").value.trim();
  const mine = ++asked;
  if (!query) found = null;
  else {
    let answer;
    try {
      answer = (await fetchJson(`/api/stops?limit=${FOUND_MAX}&query=${encodeURIComponent(query)}`)).stops;
    } catch (error) {
      answer = "failed";
    }
    if (mine !== asked) return; // something else was typed since
    found = answer;
  }
  showFound();
}

function findNear() {
  near = "page.near_asking";
  showNear();
  if (!navigator.geolocation) {
    near = "page.near_refused";
    showNear();
    return;
  }
  navigator.geolocation.getCurrentPosition(
    async ({ coords }) => {
      const address = `/api/stops/near?lat=${coords.latitude.toFixed(6)}&lon=${coords.longitude.toFixed(6)}`;
      try {
        near = (await fetchJson(address)).stops;
      } catch (error) {
        near = error.problem && error.problem.code === "outside" ? "page.near_outside" : "page.failed";
      }
      showNear();
    },
    (error) => {
      near = error.code === error.PERMISSION_DENIED ? "page.near_refused" : "page.near_unknown";
      showNear();
    },
    { timeout: PLACE_MAX_MS, maximumAge: PLACE_OLD_MS, enableHighAccuracy: true },
  );
}

let timer = 0;
element("query").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, TYPED_MS);
});
element("find").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
element("open-near").addEventListener("click", findNear);
window.addEventListener("pageshow", () => page.words.ready && showFavourites()); // back from a stop that was saved

page.start().then(() => {
  const query = page.asked.get("query");
  if (!query) return;
  element("query").value = query;
  search();
});
