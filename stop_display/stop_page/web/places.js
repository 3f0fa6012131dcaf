// Stops in lists: found, near, beside this one, saved. How far, which way, and what is kept on the telephone.

import { kept, make, stopAddress } from "./page.js";

const FAVOURITES_MAX = 30;
const KM_FROM_M = 950;
const WAYS = ["n", "ne", "e", "se", "s", "sw", "w", "nw"];

/** Stops that somebody saved, on this telephone and nowhere else. */
export class Favourites {
  all() {
    try {
      const held = JSON.parse(kept("favourites") || "[]");
      return held.filter((one) => one && typeof one.stop === "string" && one.name);
    } catch (error) {
      return []; // not ours
    }
  }

  has(stopId) {
    return this.all().some((one) => one.stop === stopId);
  }

  /** Save a stop, or forget it. Return whether it is saved now: storage may be switched off. */
  set(stop, saved) {
    const others = this.all().filter((one) => one.stop !== stop.stop);
    const held = saved ? [stop, ...others].slice(0, FAVOURITES_MAX) : others;
    kept("favourites", JSON.stringify(held));
    return this.has(stop.stop);
  }
}

/** `350 м`, `1,2 км` */
export function distance(words, metres) {
  if (metres < KM_FROM_M) return words.say("page.m", { n: Math.max(10, Math.round(metres / 10) * 10) });
  const km = (metres / 1000).toFixed(1);
  return words.say("page.km", { n: words.language === "en" ? km : km.replace(".", ",") });
}

export function way(words, bearingDeg) {
  return words.say(`page.way.${WAYS[Math.round(bearingDeg / 45) % 8]}`);
}

/** `key` for one route or for several. */
export function routesOf(key, routes, words) {
  return words.say(`${key}.${routes.length === 1 ? "one" : "many"}`, { list: routes.join(", ") });
}

/** Fill the list `root` with links to `stops`: what search and near answer, or what is saved. */
export function listStops(root, stops, words) {
  root.replaceChildren(...stops.map((stop) => item(stop, words)));
}

function item(stop, words) {
  const root = make("li");
  const link = make("a", "stop-link");
  link.href = stopAddress(stop.stop, words.language);
  const where = make("span", "stop-where");
  where.append(make("b", "", words.name(stop.name)));
  if (stop.code) where.append(make("small", "", words.say("code", { code: stop.code })));
  link.append(where);
  const towards = words.name(stop.towards);
  const notes = [
    stop.beside && stop.beside !== "near" ? words.say(`page.beside.${stop.beside}`) : "",
    towards && `→ ${towards}`,
  ].filter(Boolean);
  if (notes.length) link.append(make("span", "stop-note", notes.join(" · ")));
  if (stop.routes && stop.routes.length) {
    link.append(make("span", "stop-note", routesOf("page.routes", stop.routes, words)));
  }
  if (stop.distance_m !== undefined) link.append(far(stop, words));
  root.append(link);
  return root;
}

function far(stop, words) {
  const root = make("span", "stop-far");
  const arrow = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  arrow.setAttribute("viewBox", "0 0 24 24");
  arrow.setAttribute("aria-hidden", "true");
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawn.setAttribute("d", "M12 21V4M5 11l7-7 7 7");
  drawn.setAttribute("transform", `rotate(${stop.bearing_deg} 12 12)`);
  arrow.append(drawn);
  root.append(arrow, `${distance(words, stop.distance_m)} · ${way(words, stop.bearing_deg)}`);
  return root;
}
