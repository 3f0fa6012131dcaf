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

/** Day and time of the city, wherever the browser believes to be. */
export function moment(atMs, words) {
  const parts = { day: "2-digit", month: "2-digit", year: "numeric", hour: "2-digit", minute: "2-digit" };
  return new Date(atMs).toLocaleString("ru", { ...parts, timeZone: words.zone }).replace(", ", " ");
}

/** The day before the city's today, as settlement asks for. */
export function yesterday(words) {
  return new Date(Date.now() - 86_400_000).toLocaleDateString("sv", { timeZone: words.zone });
}

/** Who did something: a name, or that a command or the books themselves did it. */
export function person(name, words) {
  if (name === "Repricing") return words.say("by_the_books");
  return name === "command line" ? words.say("command_line") : name;
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

/** A button for what cannot be taken back: it asks once more, naming what will be done. */
export function twice(text, sure, keep, action) {
  const made = make("span", { className: "row" });
  const ask = () => {
    made.replaceChildren(button(sure, action, "main"), button(keep, rest));
    made.firstChild.focus();
  };
  const rest = () => {
    made.replaceChildren(button(text, ask));
    made.firstChild.focus();
  };
  made.append(button(text, ask));
  return made;
}

/**
 * A table. On a narrow screen each row is a card and each cell says what it is: its roles are named, as a style takes
 * them away there. Columns are {text, number?}; a cell is a text or an element.
 */
export function table(caption, columns, rows, foot = null) {
  const cell = (tag, value, column, attributes) =>
    make(tag, { className: column.number ? "number" : "", attributes }, value ?? "");
  const first = { scope: "row", role: "rowheader" };
  const other = (column) => ({ role: "cell", "data-label": column.text });
  const row = (cells) =>
    make(
      "tr",
      { attributes: { role: "row" } },
      ...cells.map((value, place) =>
        cell(place ? "td" : "th", value, columns[place], place ? other(columns[place]) : first),
      ),
    );
  const group = (tag, ...lines) => make(tag, { attributes: { role: "rowgroup" } }, ...lines);
  const heads = columns.map((column) => cell("th", column.text, column, { scope: "col", role: "columnheader" }));
  const body = make(
    "table",
    { attributes: { role: "table", "aria-label": caption } },
    group("thead", make("tr", { attributes: { role: "row" } }, ...heads)),
    group("tbody", ...rows.map(row)),
  );
  if (foot) body.append(group("tfoot", row(foot)));
  const scroll = { tabindex: "0", role: "region", "aria-label": caption };
  return make("div", { className: "scroll", attributes: scroll }, body);
}
