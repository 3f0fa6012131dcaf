// Vehicles, drawn on a canvas above the map. The map itself repaints only when it is moved, so a thousand gliding
// vehicles stay smooth on a PC without a graphics card. Markers are drawn once per look and then copied.

import { shownAt } from "./fleet.js";

const FRAME_MS = 33;
const SPRITES_MAX = 900;
const HIT_PX = 16;
const IDLE = ["deadhead", "at_depot"]; // serve no line now
const TILE_PX = 512; // MapLibre's world is this large at zoom 0

export class Markers {
  /**
   * @param {object} map MapLibre map, north up and flat
   * @param {HTMLCanvasElement} canvas above it, same size
   * @param {{vehicles: () => object[], routeOf: (vehicle: object) => object | undefined}} source
   */
  constructor(map, canvas, source) {
    this.map = map;
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.source = source;
    this.sprites = new Map();
    this.drawn = [];
    this.selected = "";
    this.dimOthers = false;
    this.movingUntil = 0;
    this.lastFrame = 0;
    this.colours = {};
    map.on("render", () => this.draw(performance.now()));
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.resize();
  }

  useColours(colours) {
    this.colours = colours;
    this.sprites.clear();
    this.wake();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(clientWidth * this.ratio);
    this.canvas.height = Math.round(clientHeight * this.ratio);
    this.width = clientWidth;
    this.height = clientHeight;
    this.sprites.clear();
    this.wake();
  }

  /** Draw soon, and go on for as long as something glides. */
  wake() {
    if (this.asked) return;
    this.asked = requestAnimationFrame((at) => {
      this.asked = 0;
      if (at - this.lastFrame >= FRAME_MS - 4) this.draw(at);
      if (this.glides(performance.now())) this.wake();
    });
  }

  glides(at) {
    return this.source.vehicles().some((vehicle) => at < vehicle.since + vehicle.glideMs + FRAME_MS);
  }

  /** Where a place is on the canvas, CSS pixels. The map is flat and north up, so this is a scale and a shift. */
  projection() {
    const world = TILE_PX * 2 ** this.map.getZoom();
    const centre = this.map.getCenter();
    const x0 = mercatorX(centre.lng) * world - this.width / 2;
    const y0 = mercatorY(centre.lat) * world - this.height / 2;
    return ([lon, lat]) => [mercatorX(lon) * world - x0, mercatorY(lat) * world - y0];
  }

  draw(at) {
    this.lastFrame = at;
    const { context, ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const place = this.projection();
    const scale = scaleAt(this.map.getZoom());
    this.drawn = [];
    for (const vehicle of this.source.vehicles()) {
      const [x, y] = place(shownAt(vehicle, at));
      if (x < -30 || y < -30 || x > this.width + 30 || y > this.height + 30) continue;
      this.drawn.push({ id: vehicle.id, x, y, vehicle });
    }
    // Further south is nearer, as on a table; the chosen one lies on top of all.
    this.drawn.sort((a, b) => (a.id === this.selected) - (b.id === this.selected) || a.y - b.y);
    for (const { id, x, y, vehicle } of this.drawn) {
      const chosen = id === this.selected;
      const size = chosen ? Math.max(scale, 0.8) * 1.25 : scale;
      context.globalAlpha = (vehicle.phase === "silent" ? 0.8 : 1) * (this.dimOthers && !chosen ? 0.45 : 1);
      context.setTransform(ratio, 0, 0, ratio, x * ratio, y * ratio);
      const nose = vehicle.heading !== undefined && hasNose(vehicle) ? this.nose(vehicle, size, chosen ? 5 : 0) : null;
      if (nose) this.outlineNose(nose, size);
      const sprite = this.sprite(vehicle, size, chosen);
      context.drawImage(sprite.canvas, -sprite.width / 2, -sprite.height / 2, sprite.width, sprite.height);
      if (nose) this.fillNose(nose, vehicle, chosen); // over the body's rim, so that both are one shape
    }
    context.globalAlpha = 1;
  }

  /** An arrow head that looks out from under the body, `grow` pixels further where the body wears a ring. */
  nose(vehicle, size, grow) {
    const radius = bodyHeight(size) / 2;
    const half = bodyWidth(label(this.source.routeOf(vehicle), size), size) / 2;
    const angle = ((vehicle.heading - 90) * Math.PI) / 180;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const shift = cos * (half - radius); // the body is a pill: its rounded ends lie this far out
    const tip = radius + grow + 8.5 * size;
    const base = radius + grow - 2 * size;
    const shape = new Path2D();
    shape.moveTo(shift + cos * tip, sin * tip);
    for (const side of [-7 * size, 7 * size]) shape.lineTo(shift + cos * base - sin * side, sin * base + cos * side);
    shape.closePath();
    return shape;
  }

  outlineNose(nose, size) {
    const { context, colours } = this;
    context.strokeStyle = colours.surface;
    context.lineJoin = "round";
    context.lineWidth = 3 * size;
    context.stroke(nose);
  }

  fillNose(nose, vehicle, chosen) {
    this.context.fillStyle = chosen ? this.colours.accent : fill(vehicle, this.source.routeOf(vehicle), this.colours);
    this.context.fill(nose);
  }

  sprite(vehicle, size, chosen) {
    const route = this.source.routeOf(vehicle);
    const key = `${route?.id ?? ""}|${vehicle.phase}|${size.toFixed(2)}|${chosen}`;
    let sprite = this.sprites.get(key);
    if (!sprite) {
      if (this.sprites.size >= SPRITES_MAX) this.sprites.clear();
      sprite = this.paintBody(vehicle.phase, route, size, chosen);
      this.sprites.set(key, sprite);
    }
    return sprite;
  }

  paintBody(phase, route, size, chosen) {
    const text = label(route, size);
    const width = bodyWidth(text, size);
    const height = bodyHeight(size);
    const margin = 8;
    const canvas = document.createElement("canvas");
    canvas.width = Math.ceil((width + 2 * margin) * this.ratio);
    canvas.height = Math.ceil((height + 2 * margin) * this.ratio);
    const pen = canvas.getContext("2d");
    pen.scale(this.ratio, this.ratio);
    pen.translate(margin, margin);
    const colours = this.colours;
    const hollow = phase === "layover" || phase === "silent" || phase === "at_depot";
    const colour = fill({ phase }, route, colours);
    pill(pen, 0, 0, width, height, 1.6);
    pen.shadowColor = "rgb(0 0 0 / 35%)";
    pen.shadowBlur = 4 * this.ratio;
    pen.shadowOffsetY = this.ratio;
    pen.fillStyle = colours.surface;
    pen.fill();
    pen.shadowColor = "transparent";
    pill(pen, 0, 0, width, height, 0);
    pen.fillStyle = hollow ? colours.surface : colour;
    pen.fill();
    if (phase === "layover") outline(pen, width, height, colour, 2 * size, []);
    if (phase === "silent") outline(pen, width, height, colour, 1.5, [2.5, 2.5]);
    if (phase === "off_route") {
      pill(pen, 0, 0, width, height, 2.2);
      pen.strokeStyle = colours.bad;
      pen.lineWidth = 2.6;
      pen.stroke();
    }
    if (chosen) {
      pill(pen, 0, 0, width, height, 4);
      pen.strokeStyle = colours.accent;
      pen.lineWidth = 3;
      pen.stroke();
    }
    if (text) {
      pen.font = `600 ${(12 * size).toFixed(1)}px "Golos Text", sans-serif`;
      pen.textAlign = "center";
      pen.textBaseline = "alphabetic";
      pen.fillStyle = phase === "silent" ? colours.quiet : hollow ? colours.ink : (route?.text_colour ?? "#ffffff");
      pen.fillText(text, width / 2, height / 2 + 4.2 * size);
    }
    return { canvas, width: canvas.width / this.ratio, height: canvas.height / this.ratio };
  }

  /** The vehicle under a point of the canvas, the topmost first; undefined if there is none. */
  at(x, y) {
    for (let i = this.drawn.length - 1; i >= 0; i--) {
      const marker = this.drawn[i];
      if (Math.abs(marker.x - x) < HIT_PX && Math.abs(marker.y - y) < HIT_PX) return marker.vehicle;
    }
    return undefined;
  }
}

function fill(vehicle, route, colours) {
  const none = ["silent", "unassigned", ...IDLE].includes(vehicle.phase) || !route;
  if (none) return colours.dark ? "#5f717b" : "#66757e";
  return route.colour;
}

function hasNose(vehicle) {
  return ["in_service", "off_route", "unassigned", "deadhead"].includes(vehicle.phase);
}

function outline(pen, width, height, colour, lineWidth, dash) {
  pill(pen, 0, 0, width, height, -lineWidth / 2);
  pen.setLineDash(dash);
  pen.strokeStyle = colour;
  pen.lineWidth = lineWidth;
  pen.stroke();
  pen.setLineDash([]);
}

function pill(pen, x, y, width, height, grow) {
  pen.beginPath();
  pen.roundRect(x - grow, y - grow, width + 2 * grow, height + 2 * grow, (height + 2 * grow) / 2);
}

/** From afar a vehicle is a dot, near it is a plate with its number. */
function scaleAt(zoom) {
  if (zoom < 11) return 0.45;
  if (zoom < 12) return 0.62;
  if (zoom < 13) return 0.78;
  if (zoom < 14.5) return 0.9;
  return 1;
}

const NUMBER_FROM = 0.7;

function label(route, size) {
  return size >= NUMBER_FROM ? (route?.name ?? "") : "";
}

function bodyHeight(size) {
  return 20 * size;
}

function bodyWidth(text, size) {
  return Math.max(20, text ? 11 + text.length * 7.3 : 0) * size;
}

function mercatorX(lon) {
  return (lon + 180) / 360;
}

function mercatorY(lat) {
  const sine = Math.sin((lat * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}
