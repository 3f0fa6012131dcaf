// Joins the parts of the live map: connection → fleet → markers, list and card.

import { LngLatBounds, Map as MapLibre, ScaleControl } from "/vendor/maplibre/maplibre-gl.mjs";
import { HIT_LAYERS, chooseLines, stopName, styleOf, themeColours } from "./basemap.js";
import { City } from "./city.js";
import { Connection } from "./connection.js";
import { Detail, lateness } from "./detail.js";
import { DetourView } from "./detours.js";
import { Filters } from "./filters.js";
import { Fleet, shownAt } from "./fleet.js";
import { VehicleList } from "./list.js";
import { Markers } from "./markers.js";
import { Words, firstLanguage, languageSwitch } from "./words.js";

const OLD_AFTER_CITY_S = 30; // tracking speaks at least once a second; half a minute of silence is a failure
const OLD_AFTER_WALL_S = 5; // …but with a fast clock give it some real seconds
const TEXT_EVERY_MS = 1_000;
const AHEAD_EVERY_MS = 4_000;
const NARROW_PX = 760; // as in map.css

const element = (id) => document.getElementById(id);

class LiveMapPage {
  constructor(words, city) {
    this.words = words;
    this.city = city;
    this.fleet = new Fleet();
    this.fleet.motion = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.selected = { vehicle: "", stop: "", detour: "" };
    this.connected = false;
    this.heardAt = 0;
    words.timeZone = city.document.time_zone;

    this.list = new VehicleList(
      element("list"),
      { routeOf: (vehicle) => city.route(vehicle.route), describe: (vehicle) => this.describe(vehicle) },
      (id) => this.select({ vehicle: id }, true),
    );
    this.detail = new Detail({
      root: element("card"),
      words,
      city,
      closed: () => this.select({}),
      stopChosen: (id) => this.select({ stop: id }, true),
    });
    this.detours = new DetourView({
      root: element("detours"),
      words,
      page: this,
      chosen: (id) => this.select({ detour: id }, true),
    });
    this.filters = new Filters(this);
    this.drawMap();
    this.bind();
    this.relabel();
    this.connection = new Connection("/map/ws", {
      message: (message) => this.hear(message),
      opened: () => this.setConnected(true),
      lost: () => this.setConnected(false),
    });
    this.connection.open();
    setInterval(() => this.showText(), TEXT_EVERY_MS);
    setInterval(() => this.askAhead(), AHEAD_EVERY_MS);
  }

  // The map -----------------------------------------------------------------------------------------------------

  drawMap() {
    this.colours = themeColours();
    const [west, south, east, north] = this.city.document.bounds;
    try {
      this.map = new MapLibre({
        container: "map",
        style: this.style(),
        bounds: new LngLatBounds([west, south], [east, north]),
        fitBoundsOptions: { padding: 36 },
        attributionControl: false,
        dragRotate: false,
        pitchWithRotate: false,
        touchPitch: false,
        maxPitch: 0,
        minZoom: 7,
        maxZoom: 18.5,
        renderWorldCopies: false,
        fadeDuration: 150,
      });
    } catch {
      this.setBanner("no_webgl", {}, "old");
      return;
    }
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new ScaleControl({ maxWidth: 110 }), "bottom-left");
    this.markers = new Markers(this.map, element("vehicles"), {
      vehicles: () => this.drawnVehicles,
      routeOf: (vehicle) => this.city.route(vehicle.route),
    });
    this.markers.useColours(this.colours);
    this.map.on("click", (event) => this.clicked(event.point));
    this.map.on("mousemove", (event) => {
      const hit = this.markers.at(event.point.x, event.point.y) || this.stopAt(event.point);
      this.map.getCanvas().style.cursor = hit ? "pointer" : "";
    });
    document.fonts.load('600 12px "Golos Text"', "12 Ә").then(() => this.markers.useColours(this.colours));
  }

  style() {
    return styleOf(this.city.document, this.words.language, this.colours, [], this.detours.features());
  }

  drawnVehicles = [];

  stopAt(point) {
    if (!this.map.isStyleLoaded()) return undefined;
    const near = [
      [point.x - 8, point.y - 8],
      [point.x + 8, point.y + 8],
    ];
    const [found] = this.map.queryRenderedFeatures(near, { layers: HIT_LAYERS });
    return found?.properties.stop;
  }

  clicked(point) {
    const vehicle = this.markers.at(point.x, point.y);
    if (vehicle) this.select({ vehicle: vehicle.id });
    else this.select({ stop: this.stopAt(point) ?? "" });
  }

  wholeCity() {
    const [west, south, east, north] = this.city.document.bounds;
    this.map?.fitBounds([west, south, east, north], { padding: 36, animate: this.fleet.motion });
  }

  // What is chosen ------------------------------------------------------------------------------------------------

  select({ vehicle = "", stop = "", detour = "" }, comeNear = false) {
    this.selected = { vehicle, stop, detour };
    if (this.markers) {
      this.markers.selected = vehicle;
      this.markers.dimOthers = Boolean(vehicle);
    }
    this.list.select(vehicle);
    if (comeNear && detour) this.detours.comeNear(innerWidth <= NARROW_PX);
    else if (comeNear) this.comeNear(vehicle, stop);
    if (comeNear && (vehicle || stop || detour)) this.showView("map");
    this.chooseLines();
    this.askAhead();
    this.showText();
    this.markers?.wake();
  }

  comeNear(vehicleId, stopId) {
    const vehicle = this.fleet.vehicles.get(vehicleId);
    const place = vehicle ? shownAt(vehicle, performance.now()) : this.city.stop(stopId)?.place;
    if (!place || !this.map) return;
    const zoom = Math.max(this.map.getZoom(), stopId ? 15.5 : 13.5);
    // On a narrow screen the card covers the lower half: what was asked for goes into the upper one.
    const offset = innerWidth <= NARROW_PX ? [0, -this.map.getContainer().clientHeight * 0.24] : [-110, 0];
    this.map.easeTo({ center: place, zoom, offset, animate: this.fleet.motion });
  }

  chooseLines() {
    const vehicle = this.fleet.vehicles.get(this.selected.vehicle);
    const pattern = vehicle && this.city.pattern(vehicle.pattern);
    const ofStop = this.city.stop(this.selected.stop)?.routes ?? this.detours.chosen?.lines.map((line) => line.route);
    let lines = this.city.linesOfRoutes(new Set(ofStop ?? this.filters.routes));
    if (pattern) lines = [pattern.line];
    else if (vehicle?.route) lines = this.city.linesOfRoutes(new Set([vehicle.route]));
    const key = lines.join();
    if (key === this.linesChosen || !this.map) return;
    this.linesChosen = key;
    if (this.map.getLayer("route-chosen")) chooseLines(this.map, this.colours, lines);
    else this.map.once("styledata", () => chooseLines(this.map, this.colours, lines));
  }

  async askAhead() {
    const id = this.selected.vehicle;
    if (!id || !this.connected) return;
    try {
      const answer = await fetch(`/api/vehicles/${encodeURIComponent(id)}`);
      if (!answer.ok || id !== this.selected.vehicle) return;
      this.detail.ahead = (await answer.json()).ahead;
      this.showCard();
    } catch {
      // the banner tells that the server is away; the card keeps what it knew
    }
  }

  // What the server says ---------------------------------------------------------------------------------------------

  hear(message) {
    const at = performance.now();
    this.heardAt = at;
    const changed = this.fleet.take(message, at);
    if (message.type === "hello" && message.feed_hash !== this.city.document.feed_hash) this.newNetwork();
    if (!changed) return;
    if (message.detours) this.detours.draw();
    this.filter();
    this.markers?.wake();
    if (message.type === "snapshot" || message.detours) this.showText();
  }

  async newNetwork() {
    try {
      this.city = new City(await fetchJson("/api/network.geojson"));
    } catch {
      return; // the next hello tries again
    }
    this.detail.city = this.city;
    this.map?.setStyle(this.style());
    this.linesChosen = undefined;
    this.relabel();
  }

  setConnected(connected) {
    this.connected = connected;
    if (connected) this.heardAt = performance.now();
    this.showFeed();
  }

  /** Whether what is shown can be believed: `live`, `old`, `lost`, `never` or `connecting`. */
  feedState(at) {
    if (!this.connected) return this.heardAt ? "lost" : "connecting";
    if (this.fleet.asOfMs === 0) return "never";
    const ageS = (this.fleet.cityNow(at) - this.fleet.asOfMs) / 1000;
    return ageS > OLD_AFTER_CITY_S && ageS / this.fleet.rate > OLD_AFTER_WALL_S ? "old" : "live";
  }

  showFeed() {
    const at = performance.now();
    const state = this.feedState(at);
    const feed = element("feed");
    const time = this.fleet.asOfMs ? this.words.clockTime(this.fleet.asOfMs, true) : "–";
    const said = this.words.say(`feed.${state}`, { time });
    write(element("feed-words"), state === "live" ? `${said} · ${this.words.clockTime(this.fleet.cityNow(at), true)}` : said);
    feed.dataset.state = state;
    document.body.dataset.feed = state;
    if (state === "old" || (state === "lost" && at - this.heardAt > 2_000)) this.setBanner(`feed.${state}_long`, { time }, state);
    else if (this.map) element("banner").hidden = true;
  }

  setBanner(key, values, state) {
    const banner = element("banner");
    write(banner, this.words.say(key, values));
    banner.dataset.state = state;
    banner.hidden = false;
  }

  // Words ------------------------------------------------------------------------------------------------------------

  describe(vehicle) {
    const { words, city } = this;
    const nowMs = this.fleet.cityNow(performance.now());
    const headsign = words.name(city.pattern(vehicle.pattern)?.headsign);
    const next = vehicle.next_stop && words.name(city.stop(vehicle.next_stop)?.name);
    const due = vehicle.next_ms ? ` · ${words.until(vehicle.next_ms, nowMs)}` : "";
    const running = vehicle.phase === "in_service" && next;
    const assigned = vehicle.phase === "in_service" || vehicle.phase === "layover";
    const minutes = Math.round((vehicle.deviation_s ?? 0) / 60);
    return {
      title: headsign ? `→ ${headsign}` : words.say("vehicle.bus", { id: vehicle.id }),
      detail: running ? `${next}${due}` : words.say(this.fleet.doing(vehicle)),
      late: assigned && vehicle.deviation_s !== undefined ? `${minutes > 0 ? "+" : minutes < 0 ? "−" : "±"}${Math.abs(minutes)}` : "",
      lateness: assigned ? lateness(vehicle.deviation_s) : "",
      note: vehicle.id,
    };
  }

  /** Which vehicles the filters leave; the markers and the list show the same ones. */
  filter() {
    const keeps = this.filters.sieve();
    const kept = [...this.fleet.vehicles.values()].filter((one) => one.id === this.selected.vehicle || keeps(one));
    this.drawnVehicles = kept;
    this.shown = kept;
  }

  refilter() {
    this.filter();
    this.chooseLines();
    this.showText();
    this.markers?.wake();
  }

  showText() {
    this.showFeed();
    const order = (vehicle) => this.city.route(vehicle.route)?.order ?? Infinity;
    this.shown ??= [];
    this.shown.sort((a, b) => order(a) - order(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    this.list.show(this.shown);
    write(element("count"), this.words.say("shown", { shown: this.shown.length, all: this.fleet.vehicles.size }));
    const none = element("none");
    none.hidden = this.shown.length > 0;
    write(none, this.words.say(this.fleet.vehicles.size ? "none_shown" : "none_at_all"));
    this.filters.count(this.fleet.vehicles.values());
    this.detours.show(this.fleet.cityNow(performance.now()));
    this.showCard();
  }

  showCard() {
    const vehicle = this.fleet.vehicles.get(this.selected.vehicle);
    const stop = this.city.stop(this.selected.stop);
    if (vehicle) {
      const route = this.city.route(vehicle.route);
      element("card").style.setProperty("--line-colour", route?.colour ?? "");
      this.detail.showVehicle(vehicle, this.fleet.cityNow(performance.now()), this.fleet.doing(vehicle));
      this.chooseLines();
    } else if (stop) {
      if (this.detail.kind !== `stop ${stop.id} ${this.words.language}`) this.detail.showStop(stop);
    } else if (this.detours.chosen) this.detail.showDetour(this.detours, this.fleet.cityNow(performance.now()));
    else this.detail.hide();
  }

  /** Everything that is written in the chosen language or depends on the network. */
  relabel() {
    const { words, city } = this;
    words.fill(document);
    document.title = `${words.say("title")} · Ayaldama`;
    write(element("agency"), city.document.agency);
    this.filters.relabel();
    this.showView(document.body.dataset.view ?? "map");
    if (this.map?.getLayer("stop-names")) this.map.setLayoutProperty("stop-names", "text-field", stopName(words.language));
    this.refilter();
  }

  showView(view) {
    document.body.dataset.view = view;
    write(element("switch-view"), this.words.say(view === "list" ? "show_map" : "show_list"));
  }

  bind() {
    languageSwitch(element("languages"), this.words, () => this.relabel());
    element("zoom-in").addEventListener("click", () => this.map?.zoomIn());
    element("zoom-out").addEventListener("click", () => this.map?.zoomOut());
    element("zoom-city").addEventListener("click", () => this.wholeCity());
    element("switch-view").addEventListener("click", () => this.showView(document.body.dataset.view === "list" ? "map" : "list"));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && Object.values(this.selected).some(Boolean)) this.select({});
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.colours = themeColours();
      this.linesChosen = undefined;
      this.map?.setStyle(this.style());
      this.markers?.useColours(this.colours);
      this.map?.once("styledata", () => this.chooseLines());
    });
  }
}

function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

async function fetchJson(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

/** The server may be starting while the page is opened: try until it answers. */
async function untilAnswered(address) {
  for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 3_000)) {
    try {
      return await fetchJson(address);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

const [catalogue, document_] = await Promise.all([
  untilAnswered("/static/map/texts.json"),
  untilAnswered("/api/network.geojson"),
]);
const page = new LiveMapPage(new Words(catalogue, firstLanguage()), new City(document_));
globalThis.liveMap = page; // for the browser's console and for tests
