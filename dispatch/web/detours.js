// Detours: told in a list above the vehicles, drawn on the map as the stretch left out, its stops and the way driven.

import { routeBadge } from "./detail.js";

const SOURCE = "detours";

/** What the map draws of `detours`, as GeoJSON. */
function detourFeatures(detours, city) {
  const features = [];
  const add = (kind, detour, geometry) =>
    features.push({ type: "Feature", properties: { kind, sure: detour.state === "confirmed" }, geometry });
  for (const detour of detours) {
    for (const line of detour.left_out ?? []) add("left_out", detour, { type: "LineString", coordinates: line });
    if (detour.path?.length > 1) add("path", detour, { type: "LineString", coordinates: detour.path });
    for (const id of detour.missed ?? []) {
      const stop = city.stop(id);
      if (stop) add("missed", detour, { type: "Point", coordinates: stop.place });
    }
  }
  return { type: "FeatureCollection", features };
}

/** Layers of the style; the source is named `detours`. */
export function detourLayers(colours, byZoom, font) {
  const layout = { "line-cap": "butt", "line-join": "round" };
  const of = (kind) => ["==", ["get", "kind"], kind];
  const strength = ["case", ["get", "sure"], 1, 0.55];
  return [
    {
      id: "detour-path",
      type: "line",
      source: SOURCE,
      filter: of("path"),
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": colours.warn, "line-width": byZoom(10, 1.6, 13, 3, 16, 6), "line-opacity": strength },
    },
    {
      id: "detour-left-out-edge",
      type: "line",
      source: SOURCE,
      filter: of("left_out"),
      layout,
      paint: { "line-color": colours.surface, "line-width": byZoom(10, 4, 13, 8, 16, 14) },
    },
    {
      id: "detour-left-out",
      type: "line",
      source: SOURCE,
      filter: of("left_out"),
      layout,
      paint: {
        "line-color": colours.bad,
        "line-width": byZoom(10, 2.4, 13, 5, 16, 9),
        "line-dasharray": [1, 0.7],
        "line-opacity": strength,
      },
    },
    {
      id: "detour-missed",
      type: "circle",
      source: SOURCE,
      filter: of("missed"),
      paint: {
        "circle-color": colours.surface,
        "circle-stroke-color": colours.bad,
        "circle-radius": byZoom(11, 3, 14, 7, 17, 10),
        "circle-stroke-width": byZoom(11, 1.2, 14, 2.2, 17, 3),
      },
    },
    {
      id: "detour-missed-cross",
      type: "symbol",
      source: SOURCE,
      filter: of("missed"),
      minzoom: 12.5,
      layout: {
        "text-field": "×",
        "text-font": [font],
        "text-size": byZoom(12, 12, 14, 17, 17, 25),
        "text-allow-overlap": true,
        "text-ignore-placement": true,
      },
      paint: { "text-color": colours.bad },
    },
  ];
}

/** Where a detour is, as a box: [[west, south], [east, north]]; undefined if nothing of it can be drawn. */
function boundsOf(detour, city) {
  const places = [...(detour.left_out ?? []).flat(), ...(detour.path ?? [])];
  for (const id of [...(detour.missed ?? []), detour.before]) if (city.stop(id)) places.push(city.stop(id).place);
  if (!places.length) return undefined;
  const [lons, lats] = [places.map((place) => place[0]), places.map((place) => place[1])];
  return [
    [Math.min(...lons), Math.min(...lats)],
    [Math.max(...lons), Math.max(...lats)],
  ];
}

/** How a detour is said. `page` has the city. */
class DetourTeller {
  constructor(words, page) {
    this.words = words;
    this.page = page;
  }

  get city() {
    return this.page.city;
  }

  stop(id) {
    return this.words.name(this.city.stop(id)?.name) || id;
  }

  place(detour) {
    const before = this.stop(detour.before);
    if (!detour.after) return this.words.say("detour.after", { before });
    return this.words.say("detour.between", { before, after: this.stop(detour.after) });
  }

  state(detour) {
    return this.words.say(`detour.${detour.standing ? "standing" : detour.state}`);
  }

  missed(detour) {
    if (!detour.after) return this.words.say("detour.missed_unknown");
    return detour.missed?.length ? String(detour.missed.length) : this.words.say("detour.missed_none");
  }

  extra(detour) {
    if (detour.extra_s === undefined) return "";
    return this.words.say("detour.extra_minutes", { n: Math.max(0, Math.round(detour.extra_s / 60)) });
  }

  facts(detour, nowMs) {
    const { words } = this;
    return [
      ["detour.place", this.place(detour)],
      ["detour.since", words.moment(detour.since_ms, nowMs)],
      ["detour.last", words.age((nowMs - detour.last_ms) / 1000)],
      ["detour.vehicles", (detour.vehicles ?? []).join(", ")],
      ["detour.under_way", (detour.under_way ?? []).join(", ")],
      ["detour.extra", this.extra(detour)],
      ["detour.missed", this.missed(detour)],
    ];
  }
}

/** All that the page shows of detours: list, drawing, and where to look for one. */
export class DetourView {
  /** @param {{root: HTMLElement, words: object, page: {map: object, city: object, fleet: object, selected: object}, chosen: (id: string) => void}} parts */
  constructor({ root, words, page, chosen }) {
    this.page = page;
    this.teller = new DetourTeller(words, page);
    this.list = new DetourList(root, this.teller, chosen);
  }

  get chosen() {
    return this.page.fleet.detours.find((detour) => detour.id === this.page.selected.detour);
  }

  features() {
    return detourFeatures(this.page.fleet.detours, this.page.city);
  }

  draw() {
    const { map } = this.page;
    const source = map?.getSource("detours");
    if (source) source.setData(this.features());
    else map?.once("styledata", () => map.getSource("detours").setData(this.features()));
  }

  show(nowMs) {
    this.list.show(this.page.fleet.detours, this.page.selected.detour, nowMs);
  }

  comeNear(narrow) {
    const { map, fleet, city } = this.page;
    const bounds = this.chosen && boundsOf(this.chosen, city);
    if (!bounds || !map) return;
    // The card covers the right side or, on a narrow screen, the lower half.
    const bottom = narrow ? map.getContainer().clientHeight * 0.6 : 80;
    const padding = { top: 60, bottom, left: 60, right: narrow ? 60 : 380 };
    map.fitBounds(bounds, { padding, maxZoom: 15, animate: fleet.motion });
  }
}

/** The list of detours in the panel; a new one is read out by screen readers, for the list is a live region. */
class DetourList {
  constructor(root, teller, chosen) {
    this.root = root;
    this.teller = teller;
    this.list = root.querySelector("ul");
    this.count = root.querySelector(".count");
    this.shown = "";
    this.list.addEventListener("click", (event) => {
      const button = event.target.closest("[data-detour]");
      if (button) chosen(button.dataset.detour);
    });
  }

  /** Rows are made anew only when something in them is different; the focus stays where it was. */
  show(detours, selected, nowMs) {
    const { words } = this.teller;
    const key = JSON.stringify([words.language, detours.map((one) => [one.id, one.state, one.standing, one.after, one.vehicles])]);
    if (key !== this.shown) {
      this.shown = key;
      const focused = document.activeElement?.dataset?.detour;
      this.list.replaceChildren(...detours.map((detour) => this.row(detour, nowMs)));
      if (focused) this.list.querySelector(`[data-detour="${CSS.escape(focused)}"]`)?.focus();
      this.count.textContent = String(detours.length);
      this.root.hidden = detours.length === 0;
    }
    for (const button of this.list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.detour === selected));
    }
  }

  row(detour, nowMs) {
    const { teller } = this;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "detour";
    button.dataset.detour = detour.id;
    button.dataset.state = detour.state;
    const badges = part("span", "badges");
    const routes = [...new Set(detour.lines.map((line) => line.route))];
    badges.append(...routes.map((route) => routeBadge(teller.city.route(route))));
    const words = part("span", "row-words");
    const since = teller.words.say("detour.since_time", { time: teller.words.moment(detour.since_ms, nowMs) });
    const buses = teller.words.say("detour.buses", { n: detour.vehicles?.length ?? 0 });
    words.append(part("span", "detour-place", teller.place(detour)));
    words.append(part("span", "detour-state", teller.state(detour)), part("span", "row-detail", `${since} · ${buses}`));
    button.append(badges, words);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }
}

function part(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
