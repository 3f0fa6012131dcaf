"use strict";
// What a registered board reports of itself, so that the control room knows before those who wait do.

const HEALTH_FIRST_MS = 3000;
const HEALTH_ROWS_MAX = 200;
const HEALTH_TEXT_MAX = 80;
const HEALTH_ERROR_MAX = 200;

class Health {
  constructor(page, fleet) {
    this.page = page;
    this.fleet = fleet;
    this.errors = 0;
    this.lastError = "";
    this.battery = null;
    window.addEventListener("error", (event) => this.wentWrong(event.message));
    window.addEventListener("unhandledrejection", (event) => this.wentWrong(String(event.reason)));
    if (navigator.getBattery) navigator.getBattery().then((battery) => (this.battery = battery), () => {});
  }

  start() {
    setTimeout(() => this.report(), HEALTH_FIRST_MS * (0.5 + Math.random()));
  }

  wentWrong(message) {
    this.errors += 1;
    this.lastError = cut(String(message || ""), HEALTH_ERROR_MAX);
  }

  report() {
    askAs(this.fleet.key, "POST", "/api/panels/health", this.state(), (status, answer) => {
      if (status === 200 && answer) this.fleet.take(answer);
      else if (status === 401) this.fleet.take({ type: "problem" });
      const everyS = this.fleet.told ? this.fleet.told.report_every_s : 45;
      setTimeout(() => this.report(), everyS * 1000 * (2 / 3 + (Math.random() * 2) / 3));
    });
  }

  state() {
    const { feed, stopIds } = this.page;
    const { memory } = performance;
    const { connection } = navigator;
    return {
      version: this.fleet.version,
      uptime_s: performance.now() / 1000,
      content_age_s: isFinite(feed.silentS) ? feed.silentS : null,
      stops: stopIds,
      clock: element("clock").textContent.trim(),
      rows: paintedRows(stopIds),
      frames: feed.frames,
      errors: this.errors,
      last_error: this.lastError,
      heap_bytes: memory ? memory.usedJSHeapSize : null,
      battery: this.battery ? this.battery.level : null,
      charging: this.battery ? this.battery.charging : null,
      signal: connection
        ? { kind: connection.effectiveType || "", downlink_mbps: connection.downlink, rtt_ms: connection.rtt }
        : null,
      off: this.fleet.off,
    };
  }
}

/** The rows as they are in the page, whoever wrote them there. */
function paintedRows(stopIds) {
  const rows = [];
  const places = Array.from(document.querySelectorAll(".rows"));
  each(document.querySelectorAll(".rows .row"), (row) => {
    if (rows.length < HEALTH_ROWS_MAX) {
      rows.push({
        stop: stopIds[places.indexOf(row.parentNode)],
        route: textOf(row, ".badge"),
        figure: textOf(row, ".figure span"),
        state: row.getAttribute("data-state") || "",
      });
    }
  });
  return rows;
}

function textOf(row, selector) {
  const found = row.querySelector(selector);
  return found ? cut(found.textContent.trim(), HEALTH_TEXT_MAX) : "";
}

/** Whole letters: half of one is no text to the server, which would refuse the report. */
function cut(text, most) {
  return Array.from(text).slice(0, most).join("");
}
