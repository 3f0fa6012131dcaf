"use strict";
// The city's time, from what the server says and the monotonic clock. The device's own time of day is never believed.

const SAMPLE_EVERY_MS = 5000;
const SAMPLES_MAX = 24;
const DAY_MS = 86400000;

class CityClock {
  constructor() {
    this.rate = 1; // city seconds per wall second: more than one in demonstrations
    this.offsetS = 0; // of local time from UTC, told by the server: old browsers know time zones badly
    this.forget();
  }

  get known() {
    return this.samples.length > 0;
  }

  /** Drop what was learnt: another server may have another clock. */
  forget() {
    this.samples = [];
    this.guessed = false;
    this.zero = 0; // city time when performance.now() was 0
  }

  run(rate) {
    if (rate !== this.rate) this.forget();
    this.rate = rate;
  }

  /** Learn from a frame. One that was long under way says too early a time, so the latest of two minutes is right. */
  take(serverMs) {
    if (typeof serverMs !== "number" || !isFinite(serverMs)) throw new TypeError("server_ms is missing");
    const at = performance.now();
    const zero = serverMs - at * this.rate;
    const last = this.samples[this.samples.length - 1];
    if (last && at - last.at < SAMPLE_EVERY_MS) last.zero = Math.max(last.zero, zero);
    else this.samples.push({ at: at, zero: zero });
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
    this.guessed = false;
    this.zero = Math.max.apply(null, this.samples.map((sample) => sample.zero));
  }

  /**
   * After a start without a server: `deviceMs`, put right by what the device was wrong when it last heard the server
   * (`last`, or null). A device that went back since then has lost its time: then there is none.
   */
  guess(last, deviceMs) {
    const goneMs = last ? deviceMs - last.device_ms : 0;
    if (this.known || this.guessed || goneMs < 0) return;
    this.rate = last ? last.rate : 1;
    this.offsetS = last ? last.offset_s : -60 * new Date(deviceMs).getTimezoneOffset();
    this.zero = (last ? last.server_ms : deviceMs) + (goneMs - performance.now()) * this.rate;
    this.guessed = true;
  }

  now() {
    return this.zero + performance.now() * this.rate;
  }

  hour(ms) {
    return new Date(ms + this.offsetS * 1000).getUTCHours();
  }

  /** `14:05` */
  time(ms) {
    return new Date(ms + this.offsetS * 1000).toISOString().slice(11, 16);
  }

  /** Days from today: 0, 1 for tomorrow. */
  daysAhead(ms) {
    const day = (moment) => Math.floor((moment + this.offsetS * 1000) / DAY_MS);
    return day(ms) - day(this.now());
  }

  /** `2026-11-28` */
  day(ms) {
    return new Date(ms + this.offsetS * 1000).toISOString().slice(0, 10);
  }

  /** `28.11` */
  date(ms) {
    const day = this.day(ms);
    return `${day.slice(8)}.${day.slice(5, 7)}`;
  }
}
