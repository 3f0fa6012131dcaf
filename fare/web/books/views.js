// What each part of the page shows. A view gets the page and returns elements; it exists for who has one of its rights.

import { ask } from "./ask.js";
import { disputes } from "./claims.js";
import { debts } from "./debts.js";
import { decision } from "./decision.js";
import { button, field, make, moment, money, person, table, yesterday } from "./parts.js";
import { topUps } from "./top_ups.js";

const LANGUAGE_OF_PAPER = ["kk", "ru", "en"];
const DIMENSIONS = ["line", "hour", "carrier", "payment", "vehicle", "stop"];

const number = (text) => ({ text, number: true });

async function balance(page) {
  const { words } = page;
  const shown = await ask("balance");
  const tenge = (tiyn) => money(tiyn, words.language);
  const sum = (side) => shown.lines.reduce((total, line) => total + line[side], 0);
  const equal = shown.difference_tiyn === 0;
  const account = make("input", { required: true, placeholder: "carrier:…", maxLength: 80 });
  const found = make("div");
  const form = make("form", {}, field(words.say("account_code"), account), make("button", { textContent: words.say("show") }));
  page.does(form, async () => found.replaceChildren(...(await accountOf(page, account.value.trim()))));
  return [
    make("p", {
      className: equal ? "balanced" : "unbalanced",
      textContent: words.say(equal ? "balance.zero" : "balance.differs", { amount: tenge(shown.difference_tiyn) }),
    }),
    table(
      words.say("view.balance"),
      [{ text: words.say("kind") }, number(words.say("accounts")), number(words.say("debit")), number(words.say("credit"))],
      shown.lines.map((line) => [
        words.say(`kind_of.${line.kind}`),
        String(line.accounts),
        tenge(line.debit_tiyn),
        tenge(line.credit_tiyn),
      ]),
      [words.say("all"), "", tenge(sum("debit_tiyn")), tenge(sum("credit_tiyn"))],
    ),
    make("h2", { textContent: words.say("account") }),
    form,
    found,
  ];
}

async function accountOf(page, code) {
  const { words } = page;
  const shown = await ask(`accounts/${encodeURIComponent(code)}`);
  return [
    make("p", { className: "hint", textContent: words.say("moves", { count: shown.moves, shown: shown.lines.length }) }),
    table(
      code,
      [
        { text: words.say("when") },
        { text: words.say("journal") },
        { text: words.say("subject") },
        number(words.say("amount")),
        number(words.say("standing")),
      ],
      shown.lines.map((line) => [
        moment(line.occurred_ms, words),
        words.say(`journal_of.${line.kind}`),
        line.subject,
        money(line.grown_tiyn, words.language),
        money(line.standing_tiyn, words.language),
      ]),
    ),
  ];
}

async function statements(page) {
  const { words } = page;
  const [from, until] = [0, 1].map(() => make("input", { type: "date", required: true, value: yesterday(words) }));
  const found = make("div");
  const show = async () => found.replaceChildren(...(await statementsOf(page, from.value, until.value)));
  const form = make(
    "form",
    {},
    field(words.say("from"), from),
    field(words.say("until"), until),
    make("button", { textContent: words.say("show") }),
  );
  if (page.may("settle")) {
    form.append(
      button(words.say("close_day"), () =>
        page.act(async () => {
          const closed = await ask(`days/${until.value}/close`, {});
          await show();
          return words.say(`closing.${closed.outcome}`, { day: until.value, count: closed.differing });
        }),
      ),
    );
  }
  page.does(form, show);
  await show();
  return [form, found];
}

async function statementsOf(page, from, until) {
  const { words } = page;
  const lines = await ask(`statements?from=${from}&until=${until}`);
  if (!lines.length) return [make("p", { textContent: words.say("no_statements") })];
  const amounts = ["charged", "cash", "subsidy", "refunds", "commission"];
  const total = (name) => money(lines.reduce((sum, line) => sum + line[`${name}_tiyn`], 0), words.language);
  return [
    table(
      words.say("view.statements"),
      [
        { text: words.say("carrier") },
        number(words.say("statement.payable")), // what a narrow screen has room for
        { text: words.say("day") },
        { text: words.say("state") },
        number(words.say("rides")),
        ...amounts.map((name) => number(words.say(`statement.${name}`))),
        { text: words.say("files") },
      ],
      lines.map((line) => [
        line.carrier_name,
        money(line.payable_tiyn, words.language),
        `${line.day} ${words.say(`part.${line.part}`)}`,
        words.say(line.paid ? "paid" : "open"),
        String(line.rides),
        ...amounts.map((name) => money(line[`${name}_tiyn`], words.language)),
        filesOf(page, line),
      ]),
      [words.say("all"), total("payable"), "", "", String(lines.reduce((sum, line) => sum + line.rides, 0)), ...amounts.map(total), ""],
    ),
  ];
}

function filesOf(page, line) {
  const at = [line.day, line.carrier_id].map(encodeURIComponent).join("/");
  const file = (text, href) => make("a", { className: "download", href, textContent: text, download: "" });
  const language = LANGUAGE_OF_PAPER.includes(page.words.language) ? page.words.language : "kk";
  const made = make(
    "span",
    { className: "row" },
    file("PDF", `/api/books/statements/${at}/${line.part}/statement.${language}.pdf`),
    file("CSV", `/api/books/statements/${at}/${line.part}/statement.csv`),
    file("TIDES", `/api/books/rides/${at}/fare_transactions.csv`),
  );
  if (page.may("settle") && !line.paid) {
    made.append(
      button(page.words.say("pay_out"), () =>
        page.act(async () => {
          const paid = await ask(`days/${at}/pay-out`, {});
          await page.open("statements");
          return page.words.say("paid_out", { amount: money(paid.amount_tiyn, page.words.language) });
        }),
      ),
    );
  }
  return made;
}

async function reports(page) {
  const { words } = page;
  const day = make("input", { type: "date", required: true, value: yesterday(words) });
  const options = [...DIMENSIONS, "journeys"].map((by) => make("option", { value: by, textContent: words.say(`by.${by}`) }));
  const by = make("select", {}, ...options);
  const found = make("div");
  const form = make(
    "form",
    {},
    field(words.say("day"), day),
    field(words.say("group_by"), by),
    make("button", { textContent: words.say("show") }),
  );
  const show = async () => {
    const made = by.value === "journeys" ? journeysOf(page, day.value) : reportOf(page, day.value, by.value);
    found.replaceChildren(...(await made));
  };
  page.does(form, show);
  await show();
  return [form, found];
}

async function reportOf(page, day, by) {
  const { words } = page;
  const shown = await ask(`reports/${day}/${by}`);
  const row = (name, totals) => [
    name,
    ...["rides", "riders", "concessions", "transfers", "unpriced"].map((one) => String(totals[one])),
    money(totals.revenue_tiyn, words.language),
    money(totals.subsidy_tiyn, words.language),
  ];
  const named = (line) => (by === "payment" ? words.say(`payment.${line.value}`) : line.name || words.say("unknown"));
  const columns = ["rides", "riders", "concessions", "transfers", "unpriced", "revenue", "statement.subsidy"];
  return [
    table(
      words.say(`by.${by}`),
      [{ text: words.say(`by.${by}`) }, ...columns.map((key) => number(words.say(key)))],
      shown.lines.map((line) => row(named(line), line.totals)),
      row(words.say("all"), shown.total),
    ),
  ];
}

async function journeysOf(page, day) {
  const { words } = page;
  const shown = await ask(`journeys/${day}`);
  return [
    make("p", { className: "hint", textContent: words.say("journeys.rest", { few: shown.few_riders, unknown: shown.unknown_riders }) }),
    table(
      words.say("by.journeys"),
      [{ text: words.say("from_stop") }, { text: words.say("to_stop") }, number(words.say("riders"))],
      shown.lines.map((line) => [line.from_stop, line.to_stop, String(line.riders)]),
    ),
  ];
}

async function refunds(page) {
  const { words } = page;
  const ride = make("input", { required: true, placeholder: "validator:123", maxLength: 80 });
  const why = make("input", { required: true, maxLength: 200 });
  const form = make(
    "form",
    {},
    field(words.say("ride"), ride),
    field(words.say("why"), why),
    make("button", { className: "main", textContent: words.say("ask_refund") }),
  );
  let key = crypto.randomUUID(); // the same until it is answered: a lost answer gives nothing back twice
  page.does(form, async () => {
    const given = await ask("refunds", { key, ride_key: ride.value.trim(), why: why.value });
    key = crypto.randomUUID();
    await page.open("refunds");
    page.say(words.say(`refund.${given.outcome}`, { amount: money(given.amount_tiyn, words.language) }));
  });
  const [listed, windows] = await Promise.all([ask("refunds"), ask("amnesties")]);
  const again = () => page.open("refunds");
  return [
    ...(page.may("ask_refund") ? [form] : []),
    table(
      words.say("view.refunds"),
      [
        { text: words.say("ride_of") },
        number(words.say("amount")),
        ...["why", "asked_by", "when", "state"].map((name) => ({ text: words.say(name) })),
      ],
      listed.map((one) => [
        one.ride_key,
        money(one.amount_tiyn, words.language) +
          (one.excess_tiyn ? ` (${words.say("refund_excess", { amount: money(one.excess_tiyn, words.language) })})` : ""),
        reasonOf(one, words),
        person(one.asked_by, words),
        moment(one.asked_ms, words),
        decision(page, one, one.state, `refunds/decision?key=${encodeURIComponent(one.key)}`, again),
      ]),
    ),
    make("h2", { textContent: words.say("amnesties") }),
    table(
      words.say("amnesties"),
      ["amnesty", "from", "until", "buses_lines", "why", "asked_by", "state"].map((name) => ({ text: words.say(name) })),
      windows.map((one) => [
        one.amnesty_id,
        moment(one.from_ms, words),
        moment(one.until_ms, words),
        [...one.vehicle_ids, ...one.route_ids].join(", "),
        one.why,
        person(one.asked_by, words),
        decision(
          page,
          one,
          one.granted === null ? "waiting" : one.granted ? "granted" : "declined",
          `amnesties/decision?id=${encodeURIComponent(one.amnesty_id)}`,
          again,
        ),
      ]),
    ),
  ];
}

/** Why money goes back; an amount below 0 is taken back, as the ride is cheaper by itself. */
function reasonOf(one, words) {
  if (one.key.startsWith("dispute/")) return words.say("by_dispute");
  return one.key.startsWith("repriced/") ? words.say("repriced") : one.why;
}

async function comparisons(page) {
  const { words } = page;
  const found = make("div");
  const listed = await ask("comparisons");
  const open = (one) => () =>
    page.act(async () => {
      const lines = await ask(`comparisons/${one.number}`);
      found.replaceChildren(
        make("h2", { textContent: `${one.account}, ${one.file_name}` }),
        table(
          one.file_name,
          [
            { text: words.say("reference") },
            { text: words.say("finding") },
            number(words.say("ours")),
            number(words.say("theirs")),
          ],
          lines
            .sort((left, right) => (left.finding === "matched") - (right.finding === "matched"))
            .map((line) => [
              line.reference,
              words.say(`finding_of.${line.finding}`),
              money(line.ours_tiyn, words.language),
              money(line.theirs_tiyn, words.language),
            ]),
        ),
      );
      return "";
    });
  return [
    make("p", { className: "hint", textContent: words.say("comparisons.how") }),
    table(
      words.say("view.comparisons"),
      ["account", "file", "when", "asked_by", "show"].map((name) => ({ text: words.say(name) })),
      listed.map((one) => [one.account, one.file_name, moment(one.at_ms, words), person(one.by, words), button(words.say("show"), open(one))]),
    ),
    found,
  ];
}

async function acts(page) {
  const { words } = page;
  const shown = await ask("acts");
  const whole = shown.broken_at === null;
  return [
    make("p", {
      className: whole ? "balanced" : "unbalanced",
      textContent: words.say(whole ? "acts.whole" : "acts.broken", { number: shown.broken_at }),
    }),
    table(
      words.say("view.acts"),
      ["number", "when", "who", "act", "subject", "detail"].map((name) => ({ text: words.say(name) })),
      shown.lines.map((line) => [
        String(line.number),
        moment(line.at_ms, words),
        person(line.who, words),
        words.say(`act_of.${line.act}`),
        line.subject,
        line.detail,
      ]),
    ),
  ];
}

export const VIEWS = [
  { name: "balance", rights: ["read_books"], show: balance },
  { name: "statements", rights: ["read_statements", "read_own_statements"], show: statements },
  { name: "reports", rights: ["read_reports"], show: reports },
  { name: "refunds", rights: ["read_claims"], show: refunds },
  { name: "top_ups", rights: ["ask_refund"], show: topUps },
  { name: "disputes", rights: ["read_claims"], show: disputes },
  { name: "debts", rights: ["read_books"], show: debts },
  { name: "comparisons", rights: ["read_books"], show: comparisons },
  { name: "acts", rights: ["read_audit"], show: acts },
];
