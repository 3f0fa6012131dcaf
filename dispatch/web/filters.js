// Which vehicles are shown: by route, by phase, by what is typed; and the stops that what is typed finds.

import { PHASES } from "./fleet.js";

const FOUND_STOPS_MAX = 5;

const element = (id) => document.getElementById(id);

export class Filters {
  /** `page`: gives `city`, and is told by `refilter` and `select`. */
  constructor(page) {
    this.page = page;
    this.words = page.words;
    this.routes = new Set(); // empty: all
    this.phases = new Set(); // empty: all
    this.query = "";
    element("search").addEventListener("input", (event) => {
      this.query = event.target.value.trim();
      this.findStops();
      this.page.refilter();
    });
  }

  /** Write all buttons anew: in another language, or of another network. */
  relabel() {
    this.phaseButtons();
    this.routeButtons();
    this.findStops();
  }

  /** Return what says of a vehicle whether it is shown. */
  sieve() {
    const query = this.query.toLocaleLowerCase();
    return (vehicle) => {
      if (this.routes.size && !this.routes.has(vehicle.route)) return false;
      if (this.phases.size && !this.phases.has(vehicle.phase)) return false;
      return !query || this.matches(vehicle, query);
    };
  }

  matches(vehicle, query) {
    if (vehicle.id.toLocaleLowerCase().includes(query)) return true;
    const route = this.page.city.route(vehicle.route);
    if (!route) return false;
    if (route.name.toLocaleLowerCase() === query) return true;
    const headsign = this.words.name(this.page.city.pattern(vehicle.pattern)?.headsign);
    return headsign.toLocaleLowerCase().includes(query);
  }

  /** Say how many vehicles are in each phase. */
  count(vehicles) {
    const counts = Object.fromEntries(PHASES.map((phase) => [phase, 0]));
    for (const vehicle of vehicles) counts[vehicle.phase] = (counts[vehicle.phase] ?? 0) + 1;
    for (const button of element("phases").querySelectorAll("button")) {
      const count = counts[button.dataset.phase];
      button.querySelector("b").textContent = String(count);
      button.toggleAttribute("data-none", count === 0);
    }
  }

  phaseButtons() {
    const items = PHASES.map((phase) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.phase = phase;
      button.title = this.words.say(`phase_meaning.${phase}`);
      button.setAttribute("aria-pressed", String(this.phases.has(phase)));
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.dataset.phase = phase;
      const count = document.createElement("b");
      button.append(mark, this.words.say(`phase.${phase}`), count);
      button.addEventListener("click", () => {
        toggle(this.phases, phase);
        button.setAttribute("aria-pressed", String(this.phases.has(phase)));
        this.page.refilter();
      });
      return inItem(button);
    });
    element("phases").replaceChildren(...items);
  }

  routeButtons() {
    const mark = () => {
      element("routes").classList.toggle("some", this.routes.size > 0);
      element("all-routes").setAttribute("aria-pressed", String(this.routes.size === 0));
      for (const button of element("routes").querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(this.routes.has(button.dataset.route)));
      }
    };
    const items = this.page.city.routes.map((route) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.route = route.id;
      button.textContent = route.name;
      button.title = this.words.name(route.long_name);
      button.style.setProperty("--badge", route.colour);
      button.style.setProperty("--on-badge", route.text_colour);
      button.addEventListener("click", () => {
        toggle(this.routes, route.id);
        mark();
        this.page.refilter();
      });
      return inItem(button);
    });
    element("routes").replaceChildren(...items);
    element("all-routes").onclick = () => {
      this.routes.clear();
      mark();
      this.page.refilter();
    };
    mark();
  }

  findStops() {
    const query = this.query.toLocaleLowerCase();
    const found = [];
    if (query.length >= 2) {
      for (const stop of this.page.city.stopById.values()) {
        if (Object.values(stop.name).some((name) => name.toLocaleLowerCase().includes(query))) found.push(stop);
      }
    }
    found.sort((a, b) => b.routes.length - a.routes.length);
    const items = found.slice(0, FOUND_STOPS_MAX).map((stop) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = this.words.name(stop.name);
      button.addEventListener("click", () => this.page.select({ stop: stop.id }, true));
      return inItem(button);
    });
    element("found-stops").replaceChildren(...items);
    element("found-stops").hidden = items.length === 0;
  }
}

function toggle(set, value) {
  if (!set.delete(value)) set.add(value);
}

function inItem(child) {
  const item = document.createElement("li");
  item.append(child);
  return item;
}
