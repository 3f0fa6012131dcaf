"use strict";
// What the board knows, and how it stays so: one WebSocket, resumed after a cut; polling where sockets do not get through.
// At any time there is one of three: a socket, a request, or a timer that will try again.

const PAUSE_FIRST_MS = 250;
const PAUSE_MAX_MS = 3000; // a board is back within 5 s of its server
const OPENING_MAX_MS = 6000;
const UNKNOWN_PAUSE_MS = 30000; // a stop that does not exist may do so after the next timetable
const POLL_EVERY_MS = 10000;
const UNPROMPTED_MS = 30000; // so often a socket is tried although HTTP is not answered
const POLL_AFTER_FAILURES = 3;
const WATCH_EVERY_MS = 1000;
const SILENT_HEARTBEATS = 2.5;
const ACK_EVERY_MS = 250;
const TRACKING_HEARD_MAX_MS = 90000; // of city time: as the server itself judges what may be shown as live

class Feed {
  /** `stopIds`, or one `stopId`; `show()` is called whenever something is known anew. */
  constructor(options) {
    this.panelName = options.panelName;
    this.fleet = options.fleet || null; // of a registered board: `{key, take(message)}`
    this.clock = options.clock;
    this.show = options.show;
    this.name(options.stopIds || [options.stopId]);
    this.tracked = true; // false while buses are not heard by the server
    this.socket = null;
    this.session = "";
    this.sequence = 0;
    this.heardAt = -Infinity;
    this.openedAt = 0;
    this.failures = 0;
    this.pauseMs = PAUSE_FIRST_MS;
    this.heartbeatS = 10;
    this.staleS = 60;
    this.dropS = 90;
    this.spreadS = 0; // so that boards of a server that went away do not all come back at once
    this.answered = false; // by HTTP, while sockets fail
    this.retrying = 0;
    this.painting = false;
    this.acking = 0;
    this.ackedAt = -Infinity;
    this.painted = null;
    this.frames = 0; // contents painted
  }

  start() {
    this.connect();
    setInterval(() => this.watch(), WATCH_EVERY_MS);
  }

  name(stopIds) {
    this.stops = new Map();
    stopIds.forEach((id) => this.stops.set(id, stopOf(id)));
  }

  /** Show other stops from now on. */
  look(stopIds) {
    this.name(stopIds);
    this.session = "";
    if (this.spoken && this.socket && this.socket.readyState === WebSocket.OPEN) this.subscribe();
  }

  /** The first stop: often the only one. */
  get stop() {
    return this.stops.values().next().value;
  }

  every(test) {
    return Array.from(this.stops.values()).every(test);
  }

  get known() {
    return !this.every((stop) => !stop.known);
  }

  /** Seconds of the wall since the server was last heard. */
  get silentS() {
    return (performance.now() - this.heardAt) / 1000;
  }

  /** How far what is shown can be believed: `live`, `stale`, or `lost` when live rows must go. */
  get quality() {
    if (this.silentS > this.dropS) return "lost";
    return this.silentS > this.staleS ? "stale" : "live";
  }

  // The socket

  connect() {
    this.openedAt = performance.now();
    this.spoken = false;
    let socket;
    try {
      socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/board/ws`);
    } catch (error) {
      this.failed();
      return;
    }
    this.socket = socket;
    socket.onopen = () => this.subscribe();
    socket.onmessage = (event) => {
      if (this.socket === socket) this.hear(event.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.failed();
    };
  }

  subscribe() {
    const message = { type: "subscribe", stops: Array.from(this.stops.keys()), board: this.panelName };
    if (this.fleet) message.key = this.fleet.key;
    if (this.session) message.resume = { session: this.session, sequence: this.sequence };
    this.socket.send(JSON.stringify(message));
  }

  hang(socket) {
    this.socket = null;
    if (socket) socket.close();
  }

  failed() {
    const spreadMs = this.spoken ? this.spreadS * 1000 : 0;
    this.spoken = false;
    this.hang(this.socket);
    this.failures += 1;
    if (this.every((stop) => stop.unknown)) this.again(UNKNOWN_PAUSE_MS);
    else this.again(this.answered ? POLL_EVERY_MS : this.backOff(), spreadMs);
  }

  again(pauseMs, spreadMs) {
    clearTimeout(this.retrying);
    const waitMs = pauseMs * (0.5 + Math.random() / 2) + Math.random() * (spreadMs || 0);
    this.retrying = setTimeout(() => this.retry(), waitMs);
  }

  backOff() {
    const pauseMs = this.pauseMs;
    this.pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    return pauseMs;
  }

  /** Chromium delays sockets by seconds after many that failed, so HTTP finds out whether the server is back. */
  retry() {
    if (this.failures < POLL_AFTER_FAILURES) this.connect();
    else this.poll();
  }

  /** A socket that says nothing for two and a half heartbeats is dead, whatever it says of itself. */
  watch() {
    if (!this.socket) return;
    const now = performance.now();
    const patienceMs = this.spoken ? this.heartbeatS * SILENT_HEARTBEATS * 1000 : OPENING_MAX_MS;
    if (now - (this.spoken ? this.heardAt : this.openedAt) > patienceMs) this.failed();
  }

  // What is heard

  hear(text) {
    try {
      this.take(JSON.parse(text));
    } catch (error) {
      this.session = ""; // not understood: begin afresh, with a snapshot
      this.failed();
    }
    this.show();
  }

  take(message) {
    if (message.type === "problem") {
      this.refused(message);
      return;
    }
    if (message.type === "hello") this.greeted(message);
    if (message.type === "hello" || message.type === "heartbeat") this.spreadS = message.spread_s || 0;
    if (message.type === "configuration" && this.fleet) this.fleet.take(message);
    this.heard(message);
    this.spoken = true;
    if (message.type === "snapshot") this.replace(message.board);
    if (message.type === "change") this.change(message);
    if (message.type === "snapshot" || message.type === "change") {
      this.sequence = message.sequence; // 0 in all snapshots but the last: a cut in between leads to all of them anew
      this.acknowledge();
    }
    if (message.type !== "hello") {
      this.failures = 0;
      this.answered = false;
      this.pauseMs = PAUSE_FIRST_MS;
    }
  }

  greeted(hello) {
    if (!hello.resumed) this.clock.forget();
    this.clock.run(hello.rate);
    this.session = hello.session;
    this.heartbeatS = hello.heartbeat_s;
    this.staleS = hello.stale_after_s;
    this.dropS = hello.drop_after_s;
  }

  refused(problem) {
    if (problem.field === "key" && this.fleet) this.fleet.take(problem);
    if (problem.code === "address_full") this.failures = POLL_AFTER_FAILURES; // others have the sockets: poll
    if (problem.code !== "unknown_stop") return;
    this.forget(problem.value);
    if (this.every((stop) => stop.unknown)) this.failed();
  }

  heard(message) {
    this.clock.take(message.server_ms);
    this.heardAt = performance.now();
    if (message.utc_offset_s !== undefined) this.clock.offsetS = message.utc_offset_s;
    if (message.as_of_ms === undefined) return;
    this.tracked = message.as_of_ms !== null && message.server_ms - message.as_of_ms <= TRACKING_HEARD_MAX_MS;
  }

  replace(board) {
    if (!this.stops.has(board.stop)) return; // asked for before `look`
    const stop = stopOf(board.stop);
    board.lines.forEach((line) => stop.lines.set(line.key, line));
    this.stops.set(board.stop, Object.assign(stop, { known: true, name: board.name, code: board.code, alerts: board.alerts || [] }));
  }

  change(message) {
    const stop = this.stops.get(message.stop);
    if (!stop) return;
    (message.lines || []).forEach((line) => stop.lines.set(line.key, line));
    if (message.alerts) stop.alerts = message.alerts;
    stop.etag = ""; // what was polled once is no longer what is shown
  }

  forget(stopId) {
    if (!this.stops.has(stopId)) return;
    this.session = "";
    this.stops.set(stopId, Object.assign(stopOf(stopId), { unknown: true }));
  }

  // What is said back

  /** Note what is on the screen: two frames after it was drawn, it is. */
  acknowledge() {
    if (this.painting) return;
    this.painting = true;
    requestAnimationFrame(() => {
      const drawn = { session: this.session, sequence: this.sequence, atMs: 0 };
      requestAnimationFrame(() => {
        this.painting = false;
        this.frames += 1;
        drawn.atMs = Math.round(this.clock.now());
        this.painted = drawn;
        this.sendAck();
        if (this.sequence !== drawn.sequence) this.acknowledge();
      });
    });
  }

  /** The latest number stands for all before, so a quarter of a second may be waited for the next. */
  sendAck() {
    if (this.acking) return;
    this.acking = setTimeout(() => {
      this.acking = 0;
      this.ackedAt = performance.now();
      const painted = this.painted;
      if (!this.socket || this.socket.readyState !== WebSocket.OPEN || painted.session !== this.session) return;
      this.socket.send(JSON.stringify({ type: "ack", sequence: painted.sequence, painted_ms: painted.atMs }));
    }, Math.max(0, this.ackedAt + ACK_EVERY_MS - performance.now()));
  }

  // Polling

  /** Ask for one stop after the other, as long as there are answers. */
  poll(left) {
    const [stop, ...further] = left || Array.from(this.stops.values());
    const request = new XMLHttpRequest();
    request.open("GET", `/api/stops/${encodeURIComponent(stop.id)}/board`);
    request.timeout = OPENING_MAX_MS;
    if (stop.etag) request.setRequestHeader("If-None-Match", stop.etag);
    request.onloadend = () => {
      this.answered = this.polled(request, stop.id);
      this.show();
      if (this.answered && further.length) this.poll(further);
      else if (this.answered || performance.now() - this.openedAt > UNPROMPTED_MS) this.connect();
      else this.again(this.backOff());
    };
    request.send();
  }

  /** Take the answer; return whether it was one of our server. */
  polled(request, stopId) {
    try {
      if (request.status === 200) this.takeAnswer(JSON.parse(request.responseText), request.getResponseHeader("ETag"));
      else if (request.status === 304) this.heard({ server_ms: numberIn(request, "X-Server-Ms"), as_of_ms: numberIn(request, "X-As-Of-Ms") });
      else if (request.status === 404) this.forget(stopId);
      else return false;
    } catch (error) {
      return false; // a proxy's page, or half an answer
    }
    return true;
  }

  takeAnswer(answer, etag) {
    this.clock.run(answer.rate);
    this.heard(answer);
    this.replace(answer.board);
    this.session = ""; // numbers of an earlier session do not fit what was polled
    const stop = this.stops.get(answer.board.stop);
    if (stop) stop.etag = etag || "";
  }
}

/** The number in a header of an answer, NaN if there is none. */
function numberIn(request, name) {
  return parseInt(request.getResponseHeader(name), 10);
}

function stopOf(id) {
  return { id: id, known: false, unknown: false, name: null, code: "", lines: new Map(), alerts: [], etag: "" };
}
