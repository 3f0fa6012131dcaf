"use strict";
// A registered board: keeps its key, does what the server's configuration says, and is black outside its hours.

const FLEET_LOOK_MS = 1000;
const FLEET_AGAIN_MS = 10000;
const KEY_NAME = "ayaldama.panel_key";
const ADDRESS_NAME = "ayaldama.panel_address";

/** The key: from the address once, then from the browser; in the address for good where nothing can be kept. */
function panelKey() {
  const given = location.hash.slice(1).replace(/%20/g, " ").trim(); // keys are small letters and digits
  const known = stored(KEY_NAME, given || undefined);
  return given || known || "";
}

/** Give what is kept under `name`, or keep `value` (null: forget it); null where the browser keeps nothing. */
function stored(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch (error) {
    return null;
  }
}

/** Ask our server as this board; `done(status, answer)`: status 0 if it is not there, answer null if it is not ours. */
function askAs(key, method, address, sent, done) {
  const request = new XMLHttpRequest();
  request.open(method, address);
  request.timeout = 10000;
  request.setRequestHeader("Authorization", `Bearer ${key}`);
  request.setRequestHeader("Cache-Control", "no-cache");
  request.onloadend = () => {
    let answer = null;
    try {
      answer = JSON.parse(request.responseText);
    } catch (error) {
      // a proxy's page, or nothing
    }
    done(request.status, answer);
  };
  request.send(sent ? JSON.stringify(sent) : null);
}

class FleetPanel {
  constructor(clock) {
    this.key = panelKey();
    this.clock = clock;
    this.told = null; // the last configuration
    this.version = ""; // of the page: what the server had when this one was loaded
    this.reload = null;
    this.leaving = false;
    this.off = false;
  }

  start() {
    setInterval(() => this.keepHours(), FLEET_LOOK_MS);
  }

  /** Take a configuration, or that our key is refused. */
  take(message) {
    if (message.type === "problem") {
      this.leave("/panel");
      return;
    }
    if (!this.told) {
      this.version = message.version;
      this.reload = message.reload;
    }
    this.told = message;
    stored(ADDRESS_NAME, message.address);
    if (!isHere(message.address)) this.leave(message.address);
    else if (message.reload !== this.reload) this.leave("");
    this.keepHours();
  }

  /** Speech is as loud as the operator said: 0 to 1. */
  get volume() {
    return this.told ? this.told.volume / 100 : 1;
  }

  /** Go to another page, or load this one anew (""), but only once it can be had: a black board helps nobody. */
  leave(address) {
    if (this.leaving) return;
    this.leaving = true;
    askAs(this.key, "GET", address || location.pathname + location.search, null, (status) => {
      this.leaving = false;
      if (status !== 200 && status !== 404) setTimeout(() => this.told && this.take(this.told), FLEET_AGAIN_MS);
      else if (address) location.replace(address + location.hash);
      else location.reload();
    });
  }

  keepHours() {
    const { told, clock } = this;
    const off = Boolean(told && told.hours && clock.known) && !isOpen(told.hours, minuteOf(clock));
    if (off === this.off) return;
    this.off = off;
    if (!this.black) {
      this.black = document.body.appendChild(document.createElement("div"));
      this.black.className = "black";
      this.black.style.cssText = "position:fixed;top:0;left:0;width:100%;height:100%;background:#000;z-index:99";
    }
    this.black.hidden = !off;
    this.black.style.display = off ? "block" : "none";
  }
}

function isHere(address) {
  const link = document.createElement("a");
  link.href = address;
  return link.pathname + link.search === location.pathname + location.search;
}

function minuteOf(clock) {
  return Math.floor((clock.now() / 1000 + clock.offsetS) / 60) % 1440;
}

/** As the server judges it: hours may go on after midnight. */
function isOpen(hours, minute) {
  return (hours[0] <= minute && minute < hours[1]) || minute + 1440 < hours[1];
}
