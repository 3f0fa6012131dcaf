// How good the predictions are: figures of all routes, and a table of each. Words and numbers carry what colours only repeat.

import { Words, firstLanguage, languageSwitch } from "/static/map/words.js";

const AGAIN_MS = 30_000;
const GOOD_PCT = 85; // MBTA and its supplier say 85 % of theirs
const FAIR_PCT = 70;
const FEW = 30;
const MARKS = { good: "●", fair: "◐", poor: "○", few: "·" };

const element = (id) => document.getElementById(id);

function make(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

const known = (value) => value !== undefined && value !== null;

class AccuracyPage {
  constructor(words) {
    this.words = words;
    this.period = new URLSearchParams(location.search).get("period") ?? "hour";
    this.order = "route";
    this.last = null;
    this.failed = false;
    this.asked = 0;
    element("period").addEventListener("change", (event) => this.choose(event.target.value));
    element("order").addEventListener("change", (event) => {
      this.order = event.target.value;
      this.show();
    });
  }

  choose(period) {
    this.period = period;
    const address = new URL(location.href);
    address.searchParams.set("period", period);
    history.replaceState(null, "", address);
    return this.refresh();
  }

  async refresh() {
    const asked = ++this.asked;
    let answer = null;
    try {
      const response = await fetch(`/api/accuracy?period=${encodeURIComponent(this.period)}`);
      if (response.status === 400) this.period = "hour"; // an address typed by hand
      if (response.ok) answer = await response.json();
    } catch {
      // the server is away: what is shown stays, and the page says so
    }
    if (asked !== this.asked) return;
    this.failed = answer === null;
    this.last = answer ?? this.last;
    this.show();
  }

  say(key, values) {
    return this.words.say(`accuracy.${key}`, values);
  }

  number(value, digits = 0) {
    const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return new Intl.NumberFormat(this.words.language === "en" ? "en" : "ru", format).format(value);
  }

  show() {
    this.words.fill(document);
    document.title = `${this.say("title")} · Ayaldama`;
    element("legend").textContent = this.say("legend", { few: FEW });
    const answer = this.last;
    if (answer) this.words.timeZone = answer.time_zone;
    this.showPeriods(answer);
    element("order").value = this.order;
    const empty = !answer?.all;
    element("all").hidden = element("routes").hidden = empty;
    element("none").hidden = !empty && !this.failed;
    element("none").textContent = this.quiet(answer);
    element("until").textContent = known(answer?.until_ms) ? this.say("updated", { time: this.words.clockTime(answer.until_ms) }) : "";
    if (empty) return;
    this.showAll(answer.all);
    this.showRoutes(answer.routes);
  }

  quiet(answer) {
    if (this.failed) return this.say("unreachable");
    if (!answer) return "";
    return this.say(known(answer.until_ms) ? "nothing_then" : "nothing_yet");
  }

  showPeriods(answer) {
    const options = [new Option(this.hour(answer), "hour")];
    for (const [place, date] of (answer?.dates ?? []).entries()) options.push(new Option(this.date(answer, date, place === 0), date));
    if (!options.some((option) => option.value === this.period)) options.push(new Option(this.period, this.period));
    element("period").replaceChildren(...options);
    element("period").value = this.period;
  }

  hour(answer) {
    if (!known(answer?.until_ms)) return this.say("hour");
    return this.say("hour_of", { from: this.words.clockTime(answer.since_ms), to: this.words.clockTime(answer.until_ms) });
  }

  date(answer, date, newest) {
    const said = date.split("-").reverse().join(".");
    return newest ? this.say("today", { date: said, to: this.words.clockTime(answer.until_ms) }) : said;
  }

  showAll(all) {
    const tiles = all.ahead.map((ahead) => {
      const tile = make("li", "tile");
      tile.append(make("h3", "", this.say("ahead", { range: ahead.ahead.replace("-", "–") })), ...this.cell(ahead, true));
      return tile;
    });
    for (const [name, value, below] of this.counts(all)) {
      const tile = make("li", "tile");
      tile.append(make("h3", "", this.say(name)), make("p", "large", value), make("p", "small", this.say(`${name}_note`)), make("p", "small", below));
      tiles.push(tile);
    }
    element("tiles").replaceChildren(...tiles);
  }

  showRoutes(routes) {
    const heads = ["route", ...routes[0].ahead.map((one) => one.ahead), "foretold", "rises", "phantoms"];
    element("head").replaceChildren(
      ...heads.map((name) => {
        const head = make("th", "", name.includes("-") ? this.say("ahead", { range: name.replace("-", "–") }) : this.say(name));
        head.scope = "col";
        head.setAttribute("role", "columnheader");
        return head;
      }),
    );
    element("rows").replaceChildren(...this.ordered(routes).map((route) => this.row(route)));
  }

  ordered(routes) {
    if (this.order === "route") return routes;
    const worth = (route) => {
      const told = route.ahead.filter((one) => known(one.accurate_pct));
      const n = told.reduce((sum, one) => sum + one.n, 0);
      return n === 0 ? Infinity : told.reduce((sum, one) => sum + one.n * one.accurate_pct, 0) / n;
    };
    return [...routes].sort((a, b) => worth(a) - worth(b));
  }

  row(route) {
    const row = make("tr");
    row.setAttribute("role", "row");
    const badge = make("span", "route-badge", route.name);
    if (route.colour) badge.style.setProperty("--badge", route.colour);
    if (route.colour) badge.style.setProperty("--on-badge", route.text_colour);
    const head = make("th", "", badge);
    head.scope = "row";
    head.setAttribute("role", "rowheader");
    row.append(head);
    for (const ahead of route.ahead) {
      row.append(tableCell(this.say("ahead", { range: ahead.ahead.replace("-", "–") }), ...this.cell(ahead, false)));
    }
    for (const [name, value, below] of this.counts(route)) {
      row.append(tableCell(this.say(name), make("p", "value", value), make("p", "small", below)));
    }
    return row;
  }

  /** What is said of predictions so far ahead: share that was right, with mark, bar and the figures behind it. */
  cell(ahead, large) {
    if (ahead.n === 0) return [make("p", "small", this.say("none"))];
    const grade = gradeOf(ahead);
    const mark = make("span", "mark", MARKS[grade]);
    mark.setAttribute("aria-hidden", "true");
    const value = make("p", large ? "large" : "value", `${this.number(ahead.accurate_pct)} % `, mark, make("span", "for-readers", ` ${this.say(grade)}`));
    value.dataset.grade = grade;
    const bar = make("span", "bar", make("i"));
    bar.setAttribute("aria-hidden", "true");
    bar.firstChild.style.width = `${ahead.accurate_pct}%`;
    const lines = [value, bar];
    if (large) lines.push(make("p", "small", this.say("within_bounds")));
    lines.push(make("p", "small", `${this.say("mae", { s: this.number(ahead.mae_s) })}, ${this.bias(ahead.late_s)}`));
    if (known(ahead.covered_pct)) lines.push(make("p", "small", this.say("covered", { pct: this.number(ahead.covered_pct) })));
    lines.push(make("p", "small", this.say("n", { n: this.number(ahead.n) })));
    return lines;
  }

  bias(lateS) {
    return this.say(lateS >= 0 ? "late" : "early", { s: this.number(Math.abs(lateS)) });
  }

  counts(route) {
    const share = (value, digits = 0) => (known(value) ? `${this.number(value, digits)} %` : "–");
    const told = route.ahead.reduce((sum, one) => sum + one.n, 0);
    return [
      ["foretold", share(route.foretold_pct), this.say("of_passings", { n: this.number(route.passings) })],
      ["rises", known(route.rises_per_countdown) ? this.number(route.rises_per_countdown, 2) : "–", this.say("of_countdowns", { n: this.number(route.countdowns) })],
      ["phantoms", share(route.phantom_pct, 2), this.say("n", { n: this.number(told) })],
    ];
  }
}

/** A cell that knows the head of its column, for phones that show it as a card. */
function tableCell(head, ...content) {
  const cell = make("td", "", ...content);
  cell.setAttribute("role", "cell");
  cell.dataset.head = head;
  return cell;
}

function gradeOf(ahead) {
  if (ahead.n < FEW) return "few";
  if (ahead.accurate_pct >= GOOD_PCT) return "good";
  return ahead.accurate_pct >= FAIR_PCT ? "fair" : "poor";
}

async function untilAnswered(address) {
  for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 3_000)) {
    try {
      const answer = await fetch(address);
      if (answer.ok) return await answer.json();
    } catch {
      // the server is away: asked again
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

const words = new Words(await untilAnswered("/static/accuracy/texts.json"), firstLanguage());
const page = new AccuracyPage(words);
languageSwitch(element("languages"), words, () => page.show());
page.show();
await page.refresh();
setInterval(() => document.hidden || page.refresh(), AGAIN_MS);
