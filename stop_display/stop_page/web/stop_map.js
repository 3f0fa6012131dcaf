// Where the buses are that come to this stop: a drawing of the ways they take, and the same as a list of words.
// The ways are asked for once; the buses are told by a stream of events while the page is seen.

import { element, fetchJson, make, put } from "./page.js";
import { distance } from "./places.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT_PX = 340;
const SHOWN_MAX = 8; // buses, the soonest
const FRAMED_MAX = 4; // of them in view without anybody asking
const MARGIN_PX = 34;
const SPAN_MIN_M = 700;
const SPAN_MAX_M = 60000;
const ZOOM = 1.6;
const LETTER_PX = 7;
const LABEL_PX = 18; // height of a name
const AGAIN_MS = 4000;
const STALE_S = 60; // as boards: said after that, gone after the other
const LOST_S = 90;
const OLD_S = 60; // a fix of a bus that is older is told with its age
const METRES_PER_DEGREE = 111195;

export class StopMap {
  constructor(root, stopPage) {
    this.stopPage = stopPage;
    this.words = stopPage.words;
    this.approaches = null;
    this.vehicles = [];
    this.heardAt = -Infinity;
    this.stream = null;
    this.chosen = ""; // key of a bus
    this.zoom = 0; // steps that somebody took; 0: all buses in view
    this.view = null;
    this.drawn = "";
    this.buses = new Map(); // key → nodes
    this.build(root);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.wake()));
    window.addEventListener("resize", () => this.draw());
  }

  build(root) {
    this.note = make("p", "small");
    this.note.setAttribute("role", "status");
    this.frame = make("div", "map-frame");
    this.svg = node("svg", { class: "map", "aria-hidden": "true" });
    this.layers = {};
    for (const name of ["ways", "chosen", "stops", "buses", "here"]) {
      this.layers[name] = node("g", { class: `map-${name}` });
      this.svg.append(this.layers[name]);
    }
    const buttons = make("p", "map-buttons");
    this.buttons = [["+", "page.map_in", 1], ["−", "page.map_out", -1]].map(([sign, key, step]) => {
      const button = make("button", "button", sign);
      button.type = "button";
      button.onclick = () => {
        this.zoom += step;
        this.draw();
      };
      buttons.append(button);
      return [button, key];
    });
    this.frame.append(this.svg, buttons);
    this.list = make("ul", "buses");
    root.append(this.note, this.frame, this.list);
    this.relabel();
  }

  relabel() {
    for (const [button, key] of this.buttons) button.setAttribute("aria-label", this.words.say(key));
    this.list.setAttribute("aria-label", this.words.say("page.map_list"));
    this.draw();
  }

  // What is heard

  wake() {
    if (element("map-part").hidden || document.hidden) return;
    if (!this.approaches) this.ask();
    if (this.stream) return;
    this.stream = new EventSource(`/stop/${encodeURIComponent(this.stopPage.stopId)}/vehicles`);
    this.stream.onmessage = (event) => this.take(JSON.parse(event.data));
    this.stream.onerror = () => {
      if (this.stream && this.stream.readyState === EventSource.CLOSED) this.again();
    };
  }

  /** A browser comes back by itself from a cut, but not from a refusal. */
  again() {
    this.rest();
    setTimeout(() => this.wake(), AGAIN_MS * (0.5 + Math.random()));
  }

  rest() {
    if (this.stream) this.stream.close();
    this.stream = null;
  }

  async ask() {
    try {
      this.approaches = await fetchJson(`/api/stops/${encodeURIComponent(this.stopPage.stopId)}/approaches`);
    } catch (error) {
      setTimeout(() => this.wake(), AGAIN_MS * (0.5 + Math.random()));
      return;
    }
    this.draw();
  }

  take(told) {
    this.vehicles = told.vehicles;
    this.heardAt = performance.now();
    this.show();
  }

  get silentS() {
    return (performance.now() - this.heardAt) / 1000;
  }

  /** The buses that may be shown: those of rows that the board still shows as followed, and while they are heard of. */
  coming() {
    const { teller, stop, clock } = this.stopPage;
    if (this.silentS > LOST_S) return [];
    const found = [];
    for (const vehicle of this.vehicles) {
      const line = stop.lines.get(vehicle.line);
      const row = line && teller.arrivals(line).find((one) => one.key === vehicle.key && isLive(one));
      if (row) found.push({ vehicle, line, row, ageS: Math.max(0, (clock.now() - vehicle.fix_ms) / 1000) });
    }
    return found.sort((a, b) => a.row.arrival_ms - b.row.arrival_ms).slice(0, SHOWN_MAX);
  }

  // What is shown

  show() {
    const coming = this.coming();
    if (!coming.some((one) => one.vehicle.key === this.chosen)) this.chosen = "";
    put(this.note, this.noted(coming));
    this.svg.dataset.stale = String(this.silentS > STALE_S);
    this.list.replaceChildren(...this.items(coming));
    const keys = coming.map((one) => one.vehicle.key).join("\n");
    if (keys !== this.drawn || this.outOfView(coming)) this.draw();
    else this.move(coming);
  }

  noted(coming) {
    const { words, stopPage } = this;
    if (!this.approaches && this.heardAt === -Infinity) return words.say("page.map_loading");
    if (this.silentS > LOST_S) return words.say("page.map_lost");
    if (this.silentS > STALE_S) {
      const { clock } = stopPage;
      return words.say("page.map_stale", { time: clock.time(clock.now() - this.silentS * 1000 * clock.rate) });
    }
    return coming.length ? "" : words.say("page.map_none");
  }

  items(coming) {
    const kept = Array.from(this.list.children);
    return coming.map((one) => {
      const old = kept.find((item) => item.dataset.key === one.vehicle.key);
      const item = old || this.item(one.vehicle.key);
      const button = item.firstChild;
      const pressed = String(this.chosen === one.vehicle.key);
      if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
      const [badge, to, where, when] = button.children;
      put(badge, one.line.route);
      colour(badge.style, one.line);
      put(to, this.words.name(one.line.destination));
      put(where, this.where(one));
      put(when, this.when(one));
      return item;
    });
  }

  item(key) {
    const item = make("li");
    item.dataset.key = key;
    const button = make("button", "bus-item");
    button.type = "button";
    button.append(make("b", "badge"), make("span", "bus-to"), make("span", "bus-where"), make("span", "bus-when"));
    button.onclick = () => {
      this.chosen = this.chosen === key ? "" : key;
      this.zoom = 0;
      this.show();
      this.draw();
    };
    item.append(button);
    return item;
  }

  said(one) {
    const alone = Object.assign({}, one.line, { headway_s: null });
    return this.stopPage.teller.live(alone, one.row, [one.row]);
  }

  when(one) {
    const said = this.said(one);
    return [said.figure, said.unit].filter(Boolean).join(" ");
  }

  where(one) {
    const { words } = this;
    const said = this.said(one);
    const onItsWay = one.row.state === "live" && !one.row.at_stop;
    const next = words.name(one.vehicle.next_stop);
    const here = next === words.name(this.stopPage.stop.name);
    return [
      said.kind,
      said.note,
      onItsWay && one.vehicle.to_go_m ? distance(words, one.vehicle.to_go_m) : "",
      onItsWay && next && !here ? words.say("page.map_next", { stop: next }) : "",
      one.row.wheelchair === "accessible" ? words.say("page.accessible") : "",
      one.ageS > OLD_S ? words.say("page.map_age", { n: Math.round(one.ageS / 60) || 1 }) : "",
    ].filter(Boolean).join(" · ");
  }

  // The drawing

  /** Metres east and south of the stop. */
  metres([lat, lon]) {
    const [lat0, lon0] = this.approaches.stop.place;
    const east = (lon - lon0) * METRES_PER_DEGREE * Math.cos((lat0 * Math.PI) / 180);
    return [east, (lat0 - lat) * METRES_PER_DEGREE];
  }

  place(place) {
    const [east, south] = this.metres(place);
    const { scale, east0, south0, width } = this.view;
    return [width / 2 + (east - east0) * scale, HEIGHT_PX / 2 + (south - south0) * scale];
  }

  /** Those that the map shows without being asked for more: the chosen one, or the soonest. */
  framed(coming) {
    return this.chosen ? coming.filter((one) => one.vehicle.key === this.chosen) : coming.slice(0, FRAMED_MAX);
  }

  /** Choose what is in view: always the stop, and the buses that are framed. */
  frameAll(coming) {
    const width = Math.max(200, this.frame.clientWidth);
    const wanted = this.framed(coming);
    const places = [[0, 0], ...wanted.map((one) => this.metres(one.vehicle.place))];
    const [west, east] = [Math.min(...places.map((at) => at[0])), Math.max(...places.map((at) => at[0]))];
    const [north, south] = [Math.min(...places.map((at) => at[1])), Math.max(...places.map((at) => at[1]))];
    const wide = Math.max(east - west, SPAN_MIN_M) / (width - 2 * MARGIN_PX);
    const high = Math.max(south - north, SPAN_MIN_M / 2) / (HEIGHT_PX - 2 * MARGIN_PX);
    const metresPerPx = Math.min(Math.max(wide, high), SPAN_MAX_M / width) * Math.pow(ZOOM, -this.zoom);
    const nearer = this.zoom > 0 ? Math.pow(ZOOM, -this.zoom) : 1; // closer looks are at the stop
    this.view = {
      width,
      scale: 1 / metresPerPx,
      east0: ((west + east) / 2) * nearer,
      south0: ((north + south) / 2) * nearer,
    };
  }

  outOfView(coming) {
    if (!this.view || this.zoom) return false;
    return this.framed(coming).some((one) => {
      const [x, y] = this.place(one.vehicle.place);
      return x < 8 || y < 8 || x > this.view.width - 8 || y > HEIGHT_PX - 8;
    });
  }

  draw() {
    if (!this.approaches || !this.frame.clientWidth) return;
    const coming = this.coming();
    this.drawn = coming.map((one) => one.vehicle.key).join("\n");
    this.frameAll(coming);
    this.svg.setAttribute("viewBox", `0 0 ${this.view.width} ${HEIGHT_PX}`);
    this.svg.setAttribute("height", HEIGHT_PX);
    this.drawWays(coming);
    this.drawStops(coming);
    this.layers.here.replaceChildren(...hereSign(this.place(this.approaches.stop.place)));
    this.move(coming);
  }

  drawWays(coming) {
    const ways = this.approaches.stretches.map((stretch) => this.path(stretch));
    this.layers.ways.replaceChildren(node("path", { d: ways.join("") }));
    const chosen = coming.find((one) => one.vehicle.key === this.chosen);
    const lines = new Set((chosen ? [chosen] : coming).map((one) => one.line.key));
    const lit = this.approaches.stretches.filter((stretch) => stretch.lines.some((key) => lines.has(key)));
    this.layers.chosen.replaceChildren(node("path", { d: lit.map((stretch) => this.path(stretch)).join("") }));
  }

  path(stretch) {
    return stretch.path.map((at, i) => `${i ? "L" : "M"}${this.place(at).map((px) => px.toFixed(1)).join(" ")}`).join("");
  }

  /** Dots for all stops in view, names where there is room: those nearest to this stop first. */
  drawStops(coming) {
    const [hereX, hereY] = this.place(this.approaches.stop.place);
    const taken = [[hereX - 14, hereY - 30, 28, 40], [this.view.width - 60, 0, 60, 110]]; // the buttons
    for (const one of coming) {
      const [x, y] = this.place(one.vehicle.place);
      taken.push([x - 20, y - 18, 40, 34]);
    }
    const nodes = [];
    const seen = this.approaches.stops
      .map((stop) => ({ stop, at: this.place(stop.place) }))
      .filter(({ at }) => at[0] > 0 && at[1] > 0 && at[0] < this.view.width && at[1] < HEIGHT_PX)
      .sort((a, b) => Math.hypot(a.at[0] - hereX, a.at[1] - hereY) - Math.hypot(b.at[0] - hereX, b.at[1] - hereY));
    for (const { stop, at } of seen) {
      nodes.push(node("circle", { cx: at[0].toFixed(1), cy: at[1].toFixed(1), r: 3.5 }));
      const name = this.words.name(stop.name);
      const wide = name.length * LETTER_PX;
      const box = [at[0] + 7, at[1] - LABEL_PX / 2, wide, LABEL_PX];
      const whole = box[0] + wide < this.view.width && box[1] > 0 && box[1] + LABEL_PX < HEIGHT_PX;
      if (!whole || taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      const text = node("text", { x: box[0].toFixed(1), y: (at[1] + 4).toFixed(1) });
      text.textContent = name;
      nodes.push(text);
    }
    this.layers.stops.replaceChildren(...nodes);
  }

  move(coming) {
    if (!this.view) return;
    const kept = new Set();
    for (const one of coming) {
      const { key } = one.vehicle;
      kept.add(key);
      let bus = this.buses.get(key);
      if (!bus) this.buses.set(key, (bus = busSign(this.layers.buses)));
      const [x, y] = this.place(one.vehicle.place);
      bus.root.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
      bus.root.setAttribute("class", key === this.chosen ? "bus bus-chosen" : "bus");
      bus.root.dataset.old = String(one.ageS > OLD_S);
      const heading = one.vehicle.heading_deg;
      bus.arrow.setAttribute("visibility", heading === undefined ? "hidden" : "visible");
      if (heading !== undefined) bus.arrow.setAttribute("transform", `rotate(${heading})`);
      if (bus.text.textContent !== one.line.route) {
        bus.text.textContent = one.line.route;
        const wide = Math.max(22, 10 + one.line.route.length * 9);
        bus.box.setAttribute("x", -wide / 2);
        bus.box.setAttribute("width", wide);
      }
      bus.box.style.fill = isColour(one.line.colour || "") ? `#${one.line.colour}` : "";
      bus.text.style.fill = isColour(one.line.colour || "") ? `#${inkOn(one.line.colour, one.line.text_colour || "")}` : "";
    }
    for (const [key, bus] of this.buses) {
      if (kept.has(key)) continue;
      bus.root.remove();
      this.buses.delete(key);
    }
  }
}

function colour(style, line) {
  const known = isColour(line.colour || "");
  style.backgroundColor = known ? `#${line.colour}` : "";
  style.color = known ? `#${inkOn(line.colour, line.text_colour || "")}` : "";
}

function overlap(one, other) {
  return one[0] < other[0] + other[2] && other[0] < one[0] + one[2] && one[1] < other[1] + other[3] && other[1] < one[1] + one[3];
}

function node(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const name of Object.keys(attributes)) made.setAttribute(name, attributes[name]);
  return made;
}

function hereSign([x, y]) {
  const sign = node("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
  sign.append(
    node("path", { class: "here-pole", d: "M0 0V-14" }),
    node("rect", { class: "here-sign", x: -9, y: -30, width: 18, height: 16, rx: 4 }),
    node("circle", { class: "here-dot", r: 4.5 }),
  );
  return [sign];
}

function busSign(parent) {
  const root = node("g", { class: "bus" });
  const arrow = node("path", { class: "bus-arrow", d: "M0 -21l6 9h-12z" });
  const box = node("rect", { class: "bus-box", y: -11, height: 22, rx: 7 });
  const text = node("text", { class: "bus-route", y: 5 });
  root.append(arrow, box, text);
  parent.append(root);
  return { root, arrow, box, text };
}
