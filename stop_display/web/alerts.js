"use strict";
// What passengers must know: a page lists all alerts; a panel shows one after the other in a strip, and those that take over
// fill its main part, with the next departures small below.

const ALERT_SIZES = ["l", "m", "s", "xs"]; // the largest at which all can be read

class Alerts {
  constructor(list, takeover, panel) {
    if (!panel) list.parentNode.insertBefore(takeover, list); // a page has the gravest first
    this.list = list;
    this.takeover = takeover;
    this.shown = "";
  }

  /** Alerts of all stops that have not ended, each once. Those without an end are believed as long as a plan. */
  gather(stops, clock, silentS) {
    const found = new Map();
    stops.forEach((stop) => {
      stop.alerts.forEach((alert) => {
        if (alert.until_ms ? alert.until_ms > clock.now() : silentS < PLAN_TRUSTED_S) found.set(alert.id, alert);
      });
    });
    return Array.from(found.values());
  }

  /** Show `alerts`; a panel shows that of the turn `page`. Return how many turns there are. */
  show(alerts, words, clock, panel, page) {
    const filling = alerts.filter((alert) => alert.takeover);
    const others = alerts.filter((alert) => !alert.takeover);
    const turn = (all) => (panel && all.length ? [all[page % all.length]] : all);
    const shown = JSON.stringify([turn(filling), turn(others), words.language, clock.day(clock.now())]);
    if (shown !== this.shown) {
      this.shown = shown;
      this.fill(this.takeover, turn(filling), words, clock);
      this.fill(this.list, turn(others), words, clock);
    }
    return Math.max(1, filling.length, others.length);
  }

  fill(place, alerts, words, clock) {
    place.hidden = !alerts.length;
    place.textContent = "";
    alerts.forEach((alert) => {
      const root = add(place, "li", "alert");
      sign(root, "alert");
      const text = add(root, "div", "alert-words");
      const head = add(text, "p", "alert-head");
      if (alert.routes && alert.routes.length) {
        write(add(head, "span", "alert-routes"), `${words.say("alert_routes", { list: alert.routes.join(", ") })} · `);
      }
      write(add(head, "strong", ""), words.name(alert.header));
      write(add(text, "p", "alert-text"), words.name(alert.text));
      if (alert.until_ms) write(add(text, "p", "alert-until"), words.say("alert_until", { time: this.until(alert, words, clock) }));
    });
  }

  until(alert, words, clock) {
    const time = clock.time(alert.until_ms);
    const days = clock.daysAhead(alert.until_ms);
    if (days < 1) return time;
    return `${days === 1 ? words.say("tomorrow") : clock.date(alert.until_ms)} ${time}`;
  }

  /** Give a panel's filling alert its height, and the largest letters at which all of it can be read. */
  fit(height) {
    this.takeover.style.height = height ? `${Math.floor(height)}px` : "";
    if (!height) return;
    ALERT_SIZES.some((size) => {
      mark(this.takeover, "data-size", size);
      return this.takeover.scrollHeight <= this.takeover.clientHeight;
    });
  }
}
