// The form by which somebody says what is wrong at a stop. What the page showed at that moment goes with it.

import { RequestError, fetchJson, make, put, show } from "./page.js";

const TROUBLES = ["board_wrong", "board_dark", "bus_missing", "stop_damaged", "other"];
const TEXT_MAX = 500;
const SAID_MAX = 160;
const NAME_MAX = 80;
const ROWS_MAX = 60;

export class ReportForm {
  constructor(root, stopPage) {
    this.stopPage = stopPage;
    this.words = stopPage.words;
    this.key = newKey(); // stays until the report is taken: sent twice, it counts once
    this.said = null; // key and values of what is said below the button
    this.build(root);
    this.relabel();
  }

  build(root) {
    this.form = make("form", "report");
    this.form.noValidate = true;
    const choices = make("fieldset");
    choices.append(labelled("legend", "page.report_what"));
    for (const trouble of TROUBLES) {
      const label = make("label", "choice");
      const input = make("input");
      Object.assign(input, { type: "radio", name: "trouble", value: trouble, required: true });
      label.append(input, labelled("span", `page.trouble.${trouble}`));
      choices.append(label);
    }
    this.routePart = make("p", "field");
    const routeLabel = labelled("label", "page.report_route");
    routeLabel.htmlFor = "report-route";
    this.route = make("select");
    this.route.id = "report-route";
    this.routePart.append(routeLabel, this.route);
    const textPart = make("p", "field");
    const textLabel = labelled("label", "page.report_text");
    textLabel.htmlFor = "report-text";
    this.text = make("textarea");
    Object.assign(this.text, { id: "report-text", rows: 3, maxLength: TEXT_MAX });
    this.text.setAttribute("aria-describedby", "report-hint");
    this.hint = make("span", "small");
    this.hint.id = "report-hint";
    textPart.append(textLabel, this.text, this.hint);
    const sending = make("p", "actions");
    this.send = labelled("button", "page.report_send");
    this.send.className = "button button-main";
    this.send.type = "submit";
    sending.append(this.send);
    this.answer = make("p", "report-answer");
    this.answer.setAttribute("role", "status");
    this.form.append(choices, this.routePart, textPart, sending);
    root.append(this.form, this.answer);
    this.form.onchange = () => this.fit();
    this.text.oninput = () => this.fit();
    this.form.onsubmit = (event) => {
      event.preventDefault();
      this.submit();
    };
  }

  relabel() {
    this.stopPage.page.label(this.form);
    const chosen = this.route.value;
    const routes = Array.from(new Set(this.stopPage.lines().map((line) => line.route)));
    this.route.replaceChildren(new Option(this.words.say("page.report_any_route"), ""), ...routes.map((route) => new Option(route, route)));
    this.route.value = routes.includes(chosen) ? chosen : "";
    this.fit();
    this.say();
  }

  /** Opened again after a report: for another one. */
  focus() {
    if (this.form.hidden) this.said = null;
    show(this.form, true);
    this.relabel();
    this.form.querySelector("input").focus();
  }

  get trouble() {
    const chosen = this.form.querySelector("input:checked");
    return chosen ? chosen.value : "";
  }

  fit() {
    show(this.routePart, this.trouble === "bus_missing");
    put(this.hint, this.words.say("page.report_hint", { n: TEXT_MAX - this.text.value.length }));
  }

  say() {
    put(this.answer, this.said ? this.words.say(this.said.key, this.said.values) : "");
    this.answer.dataset.good = String(Boolean(this.said && this.said.key === "page.report_taken"));
  }

  async submit() {
    if (this.send.disabled) return;
    const missing = this.missing();
    if (missing) {
      this.said = { key: missing };
      this.say();
      (missing === "page.report_choose" ? this.form.querySelector("input") : this.text).focus();
      return;
    }
    this.send.disabled = true;
    this.said = { key: "page.report_sending" };
    this.say();
    try {
      const address = `/api/stops/${encodeURIComponent(this.stopPage.stopId)}/reports`;
      const headers = { "Content-Type": "application/json" };
      const taken = await fetchJson(address, { method: "POST", headers, body: JSON.stringify(this.report()) });
      this.said = { key: "page.report_taken", values: { n: taken.number } };
      this.key = newKey();
      this.form.reset();
      show(this.form, false);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.said = whyNot(error);
    }
    this.send.disabled = false;
    this.say();
  }

  missing() {
    if (!this.trouble) return "page.report_choose";
    return this.trouble === "other" && !this.text.value.trim() ? "page.report_write" : "";
  }

  report() {
    const route = this.trouble === "bus_missing" ? this.route.value : "";
    const report = { key: this.key, trouble: this.trouble, language: this.words.language, route, text: this.text.value };
    const shown = this.shown();
    if (shown) report.shown = shown;
    return report;
  }

  /** What the page shows now, so that it can be checked. */
  shown() {
    const { clock, feed, teller } = this.stopPage;
    if (!clock.known) return null;
    const now = clock.now();
    const rows = this.stopPage.lines().slice(0, ROWS_MAX).map((line) => {
      const said = teller.tell(line);
      const words = [[said.figure, said.unit].filter(Boolean).join(" "), said.kind, said.note];
      const row = {
        route: cut(line.route, NAME_MAX),
        destination: cut(this.words.name(line.destination), NAME_MAX),
        state: cut(said.state, NAME_MAX),
        said: cut(words.filter(Boolean).join(" · "), SAID_MAX),
      };
      const first = teller.arrivals(line).find((arrival) => arrival.fix_ms);
      if (first) row.age_s = Math.max(0, Math.round((now - first.fix_ms) / 1000));
      return row;
    });
    return { at_ms: Math.round(now), quality: feed.quality, silent_s: Math.round(feed.silentS), rows };
  }
}

/** Letters as the server counts them, not halves of them. */
function cut(text, most) {
  return Array.from(text).slice(0, most).join("");
}

function whyNot(error) {
  if (error.status === 429) return { key: "page.report_too_many" };
  if (error.status === 400 && error.problem) {
    return { key: "page.report_refused", values: { why: `${error.problem.field}: ${error.problem.rule}` } };
  }
  return { key: "page.report_failed" };
}

function labelled(tag, key) {
  const made = make(tag);
  made.dataset.text = key;
  return made;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
