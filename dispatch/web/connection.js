// One WebSocket that comes back by itself. Says when it is open and when it was lost; knows nothing of vehicles.

const PAUSE_FIRST_MS = 400;
const PAUSE_MAX_MS = 3_000;
const HEARTBEATS_MISSED = 3;

export class Connection {
  /**
   * @param {string} path of the WebSocket on our own server
   * @param {{message: (message: object) => void, opened: () => void, lost: () => void}} told
   */
  constructor(path, told) {
    this.address = new URL(path, location.href);
    this.address.protocol = this.address.protocol === "https:" ? "wss:" : "ws:";
    this.told = told;
    this.pauseMs = PAUSE_FIRST_MS;
    this.silenceMs = 15_000;
    this.socket = null;
    this.watch = 0;
    addEventListener("online", () => this.again(0));
    addEventListener("pageshow", (event) => event.persisted && this.again(0));
  }

  open() {
    clearTimeout(this.timer);
    const socket = new WebSocket(this.address);
    this.socket = socket;
    socket.addEventListener("message", (event) => socket === this.socket && this.hear(event.data));
    socket.addEventListener("close", () => socket === this.socket && this.lose());
    this.listen();
  }

  hear(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      this.lose();
      return;
    }
    if (message.type === "hello") {
      this.pauseMs = PAUSE_FIRST_MS;
      this.silenceMs = message.heartbeat_s * 1000 * HEARTBEATS_MISSED;
      this.told.opened();
    }
    this.listen();
    this.told.message(message);
  }

  /** A cut cable closes nothing: silence for three heartbeats counts as lost. */
  listen() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.lose(), this.silenceMs);
  }

  lose() {
    clearTimeout(this.watch);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.told.lost();
    this.again(this.pauseMs * (0.7 + 0.3 * Math.random()));
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
  }

  again(afterMs) {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), afterMs);
  }
}
