// Pieces of the page: elements, fields, tables of numbers. Texts are set as text, never as HTML.

const SPACE = "\u00a0"; // no break within a number

export function make(tag, properties = {}, ...children) {
  const { dataset, attributes, ...plain } = properties;
  const made = Object.assign(document.createElement(tag), plain);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Tiyn as people write tenge: 1 234 567.89 with the separators of the language. */
export function money(tiyn, language) {
  const whole = String(Math.floor(Math.abs(tiyn) / 100)).replace(/\B(?=(\d{3})+$)/g, SPACE);
  const rest = String(Math.abs(tiyn) % 100).padStart(2, "0");
  return `${tiyn < 0 ? "−" : ""}${whole}${language === "en" ? "." : ","}${rest}`;
}

export function moment(atMs) {
  const parts = { day: "2-digit", month: "2-digit", year: "numeric", hour: "2-digit", minute: "2-digit" };
  return new Date(atMs).toLocaleString("ru", parts);
}

/** The day before today, as settlement asks for. */
export function yesterday() {
  const at = new Date(Date.now() - 86_400_000);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

let fields = 0;

export function field(label, input) {
  fields += 1;
  input.id = `field-${fields}`;
  return make("div", { className: "field" }, make("label", { htmlFor: input.id, textContent: label }), input);
}

export function button(text, action, className = "") {
  const made = make("button", { type: "button", textContent: text, className });
  made.addEventListener("click", action);
  return made;
}

/**
 * A table that scrolls by itself on a narrow screen. Columns are {text, number?}; a cell is a text or an element.
 */
export function table(caption, columns, rows, foot = null) {
  const cell = (tag, value, column, attributes = {}) =>
    make(tag, { className: column.number ? "number" : "", attributes }, value ?? "");
  const row = (cells) =>
    make("tr", {}, ...cells.map((value, place) => cell(place ? "td" : "th", value, columns[place], place ? {} : { scope: "row" })));
  const head = make("tr", {}, ...columns.map((column) => cell("th", column.text, column, { scope: "col" })));
  const body = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map(row)));
  if (foot) body.append(make("tfoot", {}, row(foot)));
  body.setAttribute("aria-label", caption);
  const scroll = { tabindex: "0", role: "region", "aria-label": caption };
  return make("div", { className: "scroll", attributes: scroll }, body);
}
