// What the server told us of the vehicles, where each is drawn now, and what the server's clock says.
// Pure state: no map, no document. `at` is performance.now().

export const PHASES = ["in_service", "layover", "off_route", "silent", "unassigned", "deadhead", "at_depot"];

const GLIDE_MAX_MS = 4_000; // a shown place is never further behind the known one than this
const GLIDE_MIN_MS = 300;
const JUMP_DEGREES = 0.02; // about 2 km: not driven, so not drawn as if it were

export class Fleet {
  constructor() {
    this.vehicles = new Map();
    this.detours = [];
    this.detoured = new Set(); // ids of vehicles that are on one now
    this.asOfMs = 0;
    this.rate = 1;
    this.feedHash = "";
    this.clockOffset = null; // city ms at performance.now() === 0
    this.motion = true;
  }

  /** Take a message; returns whether vehicles may look different now. */
  take(message, at) {
    if (message.type === "hello") {
      this.rate = message.rate;
      this.feedHash = message.feed_hash;
      this.clockOffset = null;
    }
    this.setClock(message.server_ms, at);
    if (message.as_of_ms !== undefined) this.asOfMs = message.as_of_ms;
    if (message.type === "snapshot") {
      const named = new Set(message.vehicles.map((vehicle) => vehicle.id));
      for (const id of this.vehicles.keys()) if (!named.has(id)) this.vehicles.delete(id);
    }
    if (message.detours) {
      this.detours = message.detours;
      this.detoured = new Set(message.detours.flatMap((detour) => detour.under_way ?? []));
    }
    for (const vehicle of message.vehicles ?? []) this.place(vehicle, at);
    for (const id of message.gone ?? []) this.vehicles.delete(id);
    return Boolean(message.vehicles?.length || message.gone?.length || message.detours || message.type === "snapshot");
  }

  /** The key of what a vehicle is doing: off its line on a known detour is not astray. */
  doing(vehicle) {
    return vehicle.phase === "off_route" && this.detoured.has(vehicle.id) ? "detour.on_it" : `phase.${vehicle.phase}`;
  }

  /** The message with the shortest way tells the time best; others only correct slow drift. */
  setClock(serverMs, at) {
    const offset = serverMs - at * this.rate;
    if (this.clockOffset === null || offset > this.clockOffset) this.clockOffset = offset;
    else this.clockOffset += (offset - this.clockOffset) * 0.01;
  }

  cityNow(at) {
    return this.clockOffset === null ? 0 : this.clockOffset + at * this.rate;
  }

  place(vehicle, at) {
    const known = this.vehicles.get(vehicle.id);
    const to = [vehicle.lon, vehicle.lat];
    if (!known) {
      this.vehicles.set(vehicle.id, { ...vehicle, from: to, to, since: at, glideMs: 0, heading: vehicle.heading_deg });
      return;
    }
    const moved = known.to[0] !== to[0] || known.to[1] !== to[1];
    if (moved) {
      const from = shownAt(known, at);
      const jump = Math.abs(to[0] - from[0]) > JUMP_DEGREES || Math.abs(to[1] - from[1]) > JUMP_DEGREES;
      const betweenMs = (vehicle.fix_ms - known.fix_ms) / this.rate;
      const glideMs = Math.min(Math.max(betweenMs, GLIDE_MIN_MS), GLIDE_MAX_MS);
      Object.assign(known, { from: jump ? to : from, to, since: at, glideMs: jump || !this.motion ? 0 : glideMs });
    }
    const { from, since, glideMs, heading } = known;
    const driven = moved ? bearing(from, to) : undefined;
    this.vehicles.set(vehicle.id, {
      ...vehicle,
      from,
      to,
      since,
      glideMs,
      heading: vehicle.heading_deg ?? driven ?? heading,
    });
  }

  moving(at) {
    for (const vehicle of this.vehicles.values()) if (at < vehicle.since + vehicle.glideMs) return true;
    return false;
  }
}

/** Where a vehicle is drawn: on its way from the last drawn place to the last known one, never beyond it. */
export function shownAt(vehicle, at) {
  const part = vehicle.glideMs > 0 ? Math.min((at - vehicle.since) / vehicle.glideMs, 1) : 1;
  if (part >= 1) return vehicle.to;
  return [
    vehicle.from[0] + (vehicle.to[0] - vehicle.from[0]) * part,
    vehicle.from[1] + (vehicle.to[1] - vehicle.from[1]) * part,
  ];
}

function bearing(from, to) {
  const east = (to[0] - from[0]) * Math.cos((to[1] * Math.PI) / 180);
  const north = to[1] - from[1];
  if (Math.hypot(east, north) < 2e-5) return undefined; // two metres are noise
  return ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360;
}
