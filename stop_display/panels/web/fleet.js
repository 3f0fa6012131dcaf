// The control room's list of registered boards: sign in, then what is dark, stale or wrong, asked for every few seconds.

const AGAIN_MS = 5_000;
const ANSWER_MS = 15_000;
const LANGUAGES = ["kk", "ru", "en"];
const URGENCY = ["wrong", "dark", "stale", "ok", "off"]; // a board that misleads is worse than one that shows nothing
const COLUMNS = ["board", "state", "shows", "reported", "delays"];
const MINUTES_FROM_S = 180;
const HOURS_FROM_S = 5400;

const element = (id) => document.getElementById(id);

function make(tag, content, properties) {
  const made = document.createElement(tag);
  made.append(...[content ?? []].flat());
  return Object.assign(made, properties);
}

class Refused extends Error {}

async function ask(path, sent, csrf) {
  let answer;
  try {
    answer = await fetch(path, {
      method: sent ? "POST" : "GET",
      headers: sent ? { "Content-Type": "application/json", "X-CSRF-Token": csrf ?? "" } : {},
      body: sent && JSON.stringify(sent),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  } catch {
    throw new Refused("unreachable");
  }
  const said = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(said.error ?? (answer.status === 429 ? "too_often" : "unreachable"));
  return said;
}

class FleetPage {
  constructor(texts) {
    this.texts = texts;
    this.csrf = "";
    this.fleet = null;
    this.failed = false;
    this.complaint = "";
    const wanted = [this.kept(), ...navigator.languages].map((tag) => (tag ?? "").slice(0, 2));
    this.language = wanted.find((tag) => LANGUAGES.includes(tag)) ?? "kk";
    element("languages").append(
      ...LANGUAGES.map((lang) => make("button", lang, { type: "button", lang, onclick: () => this.choose(lang) })),
    );
    element("sign-in").addEventListener("submit", (event) => {
      event.preventDefault();
      this.signIn();
    });
    element("sign-out").addEventListener("click", () => this.signOut());
  }

  kept(language) {
    try {
      if (language) localStorage.setItem("ayaldama.language", language);
      return localStorage.getItem("ayaldama.language");
    } catch {
      return null; // the choice lasts as long as the page
    }
  }

  number(value, decimals) {
    return value.toFixed(decimals).replace(".", this.language === "en" ? "." : ","); // not every browser knows Kazakh
  }

  say(key, values = {}) {
    const text = this.texts[this.language][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  choose(language) {
    this.language = language;
    this.kept(language);
    this.show();
  }

  async signIn() {
    const sent = { name: element("name").value, password: element("password").value, code: element("code").value };
    element("password").value = element("code").value = "";
    try {
      await ask("/api/staff/sign-in", sent);
      this.complaint = "";
    } catch (refused) {
      this.complaint = refused.message;
    }
    await this.refresh();
  }

  async signOut() {
    await ask("/api/staff/sign-out", {}, this.csrf).catch(() => {});
    this.fleet = null;
    await this.refresh();
  }

  async run() {
    for (;;) {
      await this.refresh();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  /** Ask who is signed in only when that may have changed; what is known stays while the server is away. */
  async refresh() {
    try {
      const fleet = await ask("/api/boards/fleet");
      if (!this.fleet) this.csrf = (await ask("/api/staff/me")).csrf;
      this.fleet = fleet;
      this.failed = false;
      this.complaint = "";
    } catch (refused) {
      this.failed = true;
      if (refused.message === "signed_out" || refused.message === "forbidden") this.fleet = null;
      if (refused.message !== "signed_out") this.complaint = refused.message;
    }
    this.show();
  }

  show() {
    document.documentElement.lang = this.language;
    document.title = `${this.say("title")} · Ayaldama`;
    for (const node of document.querySelectorAll("[data-text]")) node.textContent = this.say(node.dataset.text);
    for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = this.say(node.dataset.label);
    for (const button of element("languages").children) button.ariaPressed = String(button.lang === this.language);
    const forbidden = this.complaint === "forbidden";
    element("sign-in").hidden = Boolean(this.fleet) || forbidden;
    element("sign-out").hidden = !this.fleet && !forbidden;
    element("fleet").hidden = !this.fleet;
    const lost = this.fleet && this.failed;
    const complaint = lost ? this.say("unreachable", { time: this.time(this.fleet.server_ms) }) : this.complained();
    if (element("complaint").textContent !== complaint) element("complaint").textContent = complaint;
    if (this.fleet) this.showFleet();
  }

  complained() {
    return this.complaint && this.say(`error.${this.complaint}`);
  }

  time(ms) {
    return new Date(ms + this.fleet.utc_offset_s * 1000).toISOString().slice(11, 19);
  }

  showFleet() {
    const { panels } = this.fleet;
    const counts = URGENCY.map((standing) => [standing, panels.filter((one) => one.standing === standing).length]);
    element("counts").replaceChildren(
      ...counts.map(([standing, n]) => {
        const item = make("li", [make("b", String(n)), make("span", this.say(`standing.${standing}`))]);
        item.dataset.count = standing;
        if (n) item.dataset.standing = standing;
        return item;
      }),
    );
    const all = this.fleet.delays;
    element("delays").textContent = all ? this.say("delays_of", this.seconds(all)) : this.say("no_delays");
    element("updated").textContent =
      `${this.say("updated", { time: this.time(this.fleet.server_ms) })} · ${this.say("version", this.fleet)}`;
    element("none").hidden = panels.length > 0;
    element("table").hidden = panels.length === 0;
    element("head").replaceChildren(
      ...COLUMNS.map((name) => {
        const head = make("th", this.say(`column_${name}`), { scope: "col" });
        head.setAttribute("role", "columnheader");
        return head;
      }),
    );
    const urgent = [...panels].sort(
      (a, b) => URGENCY.indexOf(a.standing) - URGENCY.indexOf(b.standing) || (a.name < b.name ? -1 : 1),
    );
    const held = document.activeElement?.closest("#rows tr")?.dataset.panel;
    const tag = document.activeElement?.tagName;
    element("rows").replaceChildren(...urgent.map((panel) => this.row(panel)));
    if (held) element("rows").querySelector(`[data-panel="${held}"] ${tag}`)?.focus();
  }

  async reload(panel) {
    try {
      await ask(`/api/boards/fleet/${panel}/reload`, {}, this.csrf);
      element("said").textContent = this.say("reloading", { panel });
    } catch (refused) {
      this.complaint = refused.message;
      this.show();
    }
  }

  row(panel) {
    const cells = [
      [make("b", panel.name), make("small", panel.note), this.reloader(panel.name)],
      [
        make("span", this.say(`standing.${panel.standing}`), { className: "standing" }),
        ...panel.remarks.map((remark) => make("small", this.remarked(remark, panel))),
      ],
      [
        make("a", panel.stops.map((stop, i) => this.named(panel.stop_names[i], stop)).join(", "), {
          href: panel.address.replace("&fleet=1", ""),
        }),
        make("small", this.look(panel).join(" · ")),
      ],
      [make("span", this.since(panel.silent_s)), ...this.facts(panel).map((text) => make("small", text))],
      [make("span", panel.delays ? this.brief(panel.delays) : "–")],
    ];
    const row = make(
      "tr",
      cells.map((content, i) => {
        const cell = make("td", content);
        cell.setAttribute("role", "cell");
        if (i) cell.dataset.column = this.say(`column_${COLUMNS[i]}`);
        return cell;
      }),
    );
    row.setAttribute("role", "row");
    row.dataset.standing = panel.standing;
    row.dataset.panel = panel.name;
    return row;
  }

  look(panel) {
    const look = [panel.hours || this.say("always"), this.say(`look.${panel.language}`), this.say(`look.${panel.theme}`)];
    if (panel.stops.length > 1 && panel.layout !== "auto") look.push(this.say(`look.${panel.layout}`));
    return look;
  }

  /** Say a remark; the server writes places as ` @ stop_id`. */
  remarked({ code, detail }, panel) {
    const named = (whole, stop) => {
      const i = panel.stops.indexOf(stop);
      return i < 0 ? whole : ` @ ${this.named(panel.stop_names[i], stop)}`;
    };
    return this.say(`remark.${code}`, { detail: String(detail ?? "").replace(/ @ ([^:]+)/, named) });
  }

  reloader(panel) {
    const said = { type: "button", className: "button quiet", onclick: () => this.reload(panel) };
    const button = make("button", this.say("reload"), said);
    button.ariaLabel = `${this.say("reload")}: ${panel}`;
    return button;
  }

  named(name, stop) {
    return name[this.language] ?? stop;
  }

  since(silentS) {
    if (silentS === null) return this.say("never");
    if (silentS < MINUTES_FROM_S) return this.say("silent", { s: Math.round(silentS) });
    return this.say("silent_minutes", { m: Math.round(silentS / 60) });
  }

  lasting(seconds) {
    if (seconds < HOURS_FROM_S) return this.say("minutes", { n: Math.round(seconds / 60) });
    return this.say("hours", { n: Math.round(seconds / 3600) });
  }

  facts(panel) {
    const { health } = panel;
    const facts = [this.say("connections", { n: panel.connected })];
    if (!health) return facts;
    const known = (value) => value !== undefined && value !== null;
    facts.push(
      this.say("facts", {
        age: known(health.content_age_s) ? Math.round(health.content_age_s) : "–",
        up: this.lasting(health.uptime_s),
        frames: health.frames ?? 0,
      }),
    );
    const device = [];
    if (known(health.heap_bytes)) device.push(this.say("memory", { mb: Math.round(health.heap_bytes / 1e6) }));
    if (known(health.battery)) device.push(this.say("battery", { pct: Math.round(health.battery * 100) }));
    if (health.signal?.kind) device.push(this.say("signal", health.signal));
    if (health.version) device.push(this.say("version", health));
    return device.length ? [...facts, device.join(" · ")] : facts;
  }

  seconds(delays) {
    const short = (ms) => this.number(ms / 1000, ms < 1000 ? 2 : 1);
    return { n: delays.count, p50: short(delays.p50_ms), p95: short(delays.p95_ms), p99: short(delays.p99_ms) };
  }

  brief(delays) {
    const { p50, p95, p99 } = this.seconds(delays);
    return `${p50} · ${p95} · ${p99}`;
  }
}

new FleetPage(await ask("/static/panel/texts.json")).run();
