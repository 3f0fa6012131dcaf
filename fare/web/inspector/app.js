// The inspector's page: sign in, open a bus, check passengers, record warnings. Without a connection it goes on with what
// kept.js holds, and sends what was recorded once there is one again. It has no way to charge anybody.

import { kept } from "./kept.js";
import { FOUNDS_WARNING, inspect, isCode } from "./verdict.js";
import { LANGUAGES, Words, firstLanguage } from "./words.js";

const LIST_AGAIN_MS = 20_000;
const ANSWER_MS = 8_000;
const SCAN_MS = 200;
const SHOWN_AT_ONCE = 20;
const DETECTOR = "/vendor/qr/decode.js";
const IS_RECORDED = new Set(["recorded", "already_recorded"]);
const MARKS = { paid: "✓", free: "✓", unknown: "?", grace: "…" };

const element = (id) => document.getElementById(id);

class Refused extends Error {
  constructor(status, error) {
    super(error);
    this.status = status;
  }
}

class Page {
  constructor(words) {
    this.words = words;
    this.verdict = null;
    this.offline = false;
    this.camera = null;
    this.showingId = null; // of the passenger who is being checked
    element("sign-in").addEventListener("submit", (event) => this.does(event, () => this.signIn()));
    element("bus").addEventListener("submit", (event) => {
      this.does(event, () => this.openBus(element("vehicle").value));
    });
    element("check").addEventListener("submit", (event) => this.does(event, () => this.check()));
    element("code").addEventListener("input", () => this.nextPassenger());
    element("sign-out").addEventListener("click", () => this.signOut());
    element("refused-read").addEventListener("click", () => this.forgetRefused());
    element("other-bus").addEventListener("click", () => this.leaveBus());
    element("scan").addEventListener("click", () => (this.camera ? this.stopScanning() : this.scan()));
    element("warn").addEventListener("click", () => this.record("warning"));
    element("protocol").addEventListener("click", () => this.record("protocol"));
    addEventListener("online", () => this.renew());
    setInterval(() => this.renew(), LIST_AGAIN_MS);
  }

  /** The server's time, also when the phone's clock is wrong. */
  now() {
    return Date.now() + (kept.list()?.clock_ahead_ms ?? 0);
  }

  /** Do what a form asks; whatever goes wrong is said. */
  async does(event, action) {
    event.preventDefault();
    this.complain("");
    try {
      await action();
    } catch (error) {
      this.fails(error);
    }
    this.show();
  }

  fails(error) {
    if (error instanceof Refused && error.status === 401 && error.message === "signed_out") kept.keepSession(null);
    this.offline = !(error instanceof Refused);
    this.complain(error instanceof Refused ? `error.${error.message}` : "error.unreachable");
  }

  complain(key) {
    element("complaint").textContent = key ? this.words.say(key) : "";
  }

  async ask(method, path, body) {
    const session = kept.session();
    const answer = await fetch(`/api/inspection/${path}`, {
      method,
      headers: session ? { Authorization: `Bearer ${session.token}` } : {},
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Refused(answer.status, said.error);
    this.offline = false;
    return said;
  }

  async signIn() {
    const sent = { person_id: element("number").value.trim(), pin: element("pin").value };
    element("pin").value = "";
    kept.keepSession(await this.ask("POST", "sign-in", sent));
    await this.sendEntries();
  }

  signOut() {
    kept.keepSession(null);
    kept.keepList(null);
    kept.forgetShown();
    kept.forgetRefused();
    this.verdict = null;
    this.show();
  }

  async openBus(vehicle) {
    const list = await this.ask("GET", `vehicles/${encodeURIComponent(vehicle.trim())}`);
    kept.keepList({ ...list, clock_ahead_ms: list.made_ms - Date.now() });
    this.verdict = null;
  }

  leaveBus() {
    this.stopScanning();
    kept.keepList(null);
    this.verdict = null;
    this.show();
    element("vehicle").focus();
  }

  /** Fetch the list anew and send what waits; without a connection what is held goes on being used. */
  async renew() {
    if (!kept.session()) return;
    try {
      await this.sendEntries();
      await this.sendShown();
      const list = kept.list();
      if (list) {
        const verdict = this.verdict;
        await this.openBus(list.vehicle_id);
        this.verdict = verdict;
      }
    } catch (error) {
      if (error instanceof Refused) this.fails(error);
      else this.offline = true;
    }
    this.show();
  }

  /** Another code is typed: what was said of the one before must not stand beside it. */
  nextPassenger() {
    this.verdict = null;
    this.showingId = null;
    element("boarded-before").checked = false;
    this.complain("");
    this.show();
  }

  async check() {
    const typed = element("code").value;
    if (!isCode(typed)) {
      this.verdict = null;
      this.complain("error.no_code");
      return;
    }
    this.showingId ??= crypto.randomUUID();
    const boardedBefore = element("boarded-before").checked;
    const list = kept.list();
    const asked = { vehicle_id: list.vehicle_id, code: typed, showing_id: this.showingId };
    try {
      this.verdict = await this.ask("POST", "checks", { ...asked, boarded_before: boardedBefore });
    } catch (error) {
      if (error instanceof Refused) throw error;
      this.offline = true;
      this.verdict = await this.judge(asked, boardedBefore, list);
    }
    this.verdictCase = crypto.randomUUID();
    this.recordedSteps = [];
    element("code").select();
  }

  /** Judge by the list; what is paid has been shown once more, which the server hears as soon as it can. */
  async judge(asked, boardedBefore, list) {
    const { showing_id: showingId, code } = asked;
    const atMs = this.now();
    const { verdict, tap } = await inspect({ code, boardedBefore, showingId }, list, atMs);
    if (tap && !tap.shown.some((one) => one.showing_id === showingId)) {
      tap.shown.push({ showing_id: showingId, at_ms: atMs });
      kept.keepList(list);
      kept.addShown({ ...asked, at_ms: atMs });
    }
    return verdict;
  }

  async sendShown() {
    const shown = kept.shown().slice(0, SHOWN_AT_ONCE);
    if (!shown.length || !kept.session()) return;
    await this.ask("POST", "shown", shown);
    kept.dropShown(new Set(shown.map((one) => one.showing_id)));
  }

  /** Keep an entry; it is sent at once if it can be. The server says who made it. */
  async record(step) {
    const list = kept.list();
    kept.addEntry({
      entry_id: crypto.randomUUID(),
      case_id: this.verdictCase,
      step,
      at_ms: this.now(),
      vehicle_id: list.vehicle_id,
      verdict: this.verdict,
      fine_tiyn: step === "protocol" ? list.fine_tiyn : 0,
    });
    this.recordedSteps.push(step);
    this.show();
    try {
      await this.sendEntries();
    } catch (error) {
      if (error instanceof Refused) this.fails(error);
      else this.offline = true;
    }
    this.show();
  }

  async sendEntries() {
    const entries = kept.entries().slice(0, 50);
    if (!entries.length || !kept.session()) return;
    const answers = await this.ask("POST", "entries", entries);
    const outcomes = new Map(answers.map((answer) => [answer.entry_id, answer.outcome]));
    const refused = entries
      .filter((entry) => outcomes.has(entry.entry_id) && !IS_RECORDED.has(outcomes.get(entry.entry_id)))
      .map((entry) => ({
        case_id: entry.case_id,
        step: entry.step,
        at_ms: entry.at_ms,
        vehicle_id: entry.vehicle_id,
        outcome: outcomes.get(entry.entry_id),
      }));
    if (refused.length) kept.addRefused(refused); // before they are dropped: a phone that dies here says it twice
    kept.dropEntries(new Set(outcomes.keys()));
    const undone = new Set(refused.filter((one) => one.case_id === this.verdictCase).map((one) => one.step));
    if (undone.size) this.recordedSteps = this.recordedSteps.filter((step) => !undone.has(step));
  }

  /** Somebody has read it; where they go on is the code, if a bus is open. */
  forgetRefused() {
    kept.forgetRefused();
    this.show();
    if (!element("on-bus").hidden) element("code").focus();
  }

  async scan() {
    try {
      const Detector = window.BarcodeDetector ?? (await import(DETECTOR)).BarcodeDetector; // an iPhone has none
      const detector = new Detector({ formats: ["qr_code"] });
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      const video = element("camera");
      video.srcObject = stream;
      await video.play();
      const looking = setInterval(async () => {
        const [found] = await detector.detect(video);
        const code = found?.rawValue;
        if (!code || !isCode(code) || !this.camera) return;
        this.stopScanning();
        this.showingId = null;
        element("code").value = code;
        element("check").requestSubmit();
      }, SCAN_MS);
      this.camera = { stream, looking };
    } catch {
      this.complain("no_camera");
    }
    this.show();
  }

  stopScanning() {
    if (!this.camera) return;
    clearInterval(this.camera.looking);
    for (const track of this.camera.stream.getTracks()) track.stop();
    this.camera = null;
    this.show();
  }

  show() {
    const [session, list] = [kept.session(), kept.list()];
    element("sign-in").hidden = Boolean(session);
    element("sign-out").hidden = !session;
    element("bus").hidden = !session || Boolean(list);
    element("on-bus").hidden = !session || !list;
    element("offline").hidden = !this.offline;
    const waiting = kept.entries().length;
    element("waiting").hidden = waiting === 0;
    element("waiting").textContent = this.words.say("waiting", { count: waiting });
    this.showRefused();
    if (list) this.showBus(list);
    this.showVerdict(list);
    element("camera-frame").hidden = !this.camera;
    element("scan").textContent = this.words.say(this.camera ? "stop_scanning" : "scan");
  }

  showRefused() {
    const refused = kept.refused();
    element("refused").hidden = refused.length === 0;
    const lines = refused.map(({ step, vehicle_id: vehicle, at_ms: atMs, outcome }) => {
      const line = document.createElement("li");
      const why = this.words.say(this.words.has(`not_recorded.${outcome}`) ? `not_recorded.${outcome}` : "not_recorded.other");
      const named = { step: this.words.say(`step.${step}`), vehicle, time: this.words.time(atMs) };
      line.textContent = `${this.words.say("refused_entry", named)} ${why}`;
      return line;
    });
    element("refused-entries").replaceChildren(...lines);
  }

  showBus(list) {
    const route = list.route_id ? `, ${this.words.say("route", { route: list.route_id })}` : "";
    element("bus-name").textContent = this.words.say("on_bus", { vehicle: list.vehicle_id }) + route;
    const time = this.words.time(list.complete_until_ms);
    element("reported").textContent = this.words.say("reported_until", { time });
  }

  showVerdict(list) {
    const box = element("verdict");
    box.hidden = !this.verdict || !list;
    if (box.hidden) return;
    const { standing } = this.verdict;
    box.dataset.standing = standing;
    element("mark").textContent = MARKS[standing] ?? "✕";
    element("standing").textContent = this.words.say(`standing.${standing}`);
    element("detail").textContent = this.detail(this.verdict);
    const warned = this.recordedSteps.includes("warning");
    element("warn").hidden = !FOUNDS_WARNING.has(standing) || warned;
    element("protocol").hidden = !FOUNDS_WARNING.has(standing) || !warned || this.recordedSteps.includes("protocol");
    element("recorded").hidden = this.recordedSteps.length === 0;
  }

  detail(verdict) {
    return this.words.say(`detail.${verdict.standing}`, {
      ago: this.words.ago(this.now() - verdict.tapped_ms),
      until: this.words.time(verdict.until_ms),
      riders: this.riders(verdict.riders),
      shown: this.words.time(verdict.shown_ms),
      stop: verdict.next_stop ? `: ${verdict.next_stop}` : "",
      why: verdict.otherwise ? this.words.say(`standing.${verdict.otherwise}`) : "",
    });
  }

  riders(riders) {
    const named = riders.map(({ category, count }) => {
      const name = this.words.has(`rider.${category}`) ? this.words.say(`rider.${category}`) : category;
      return count === 1 ? name : `${name} × ${count}`;
    });
    return named.join(", ") || this.words.say("rider.one");
  }

  speak() {
    document.documentElement.lang = this.words.language;
    document.title = this.words.say("title");
    for (const one of document.querySelectorAll("[data-text]")) one.textContent = this.words.say(one.dataset.text);
    for (const one of document.querySelectorAll("[data-label]")) {
      one.setAttribute("aria-label", this.words.say(one.dataset.label));
    }
    const buttons = LANGUAGES.map((language) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = { kk: "ҚАЗ", ru: "РУС", en: "ENG" }[language];
      button.lang = language;
      button.setAttribute("aria-pressed", String(language === this.words.language));
      button.addEventListener("click", () => {
        this.words.choose(language);
        this.speak();
        document.querySelector(`#languages [lang=${language}]`).focus();
      });
      return button;
    });
    element("languages").replaceChildren(...buttons);
    this.complain("");
    this.show();
  }
}

const catalogue = await (await fetch("/inspector/texts.json")).json();
const page = new Page(new Words(catalogue, firstLanguage()));
page.speak();
page.renew();
document.body.dataset.ready = "yes";
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/inspector/worker.js").catch(() => {});
