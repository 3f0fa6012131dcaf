"use strict";
// The lines of a stop as rows of the page. A row lives as long as its line, and only what differs is written anew.

const SVG = "http://www.w3.org/2000/svg";
const MARKS = {
  live: ["M5.5 18.5a3 3 0 1 0-.1 0z", "M6 9.5a9 9 0 0 1 8.5 8.5", "M6 3.5A15 15 0 0 1 20.5 18"],
  timetable: ["M12 3.5a8.5 8.5 0 1 0 .1 0z", "M12 7.5V12l3.2 2.2"],
  access: ["M10 3.2a1.5 1.5 0 1 0 .1 0z", "M10.2 8.5v6h5.3l2.8 5.2", "M10.4 11h4", "M8 11.8a4.9 4.9 0 1 0 6.4 6.4"],
  alert: ["M12 3.5L2.5 20.5h19z", "M12 10v5", "M12 17.8v.2"],
  cancelled: ["M12 3.5a8.5 8.5 0 1 0 .1 0z", "M6.2 6.2l11.6 11.6"],
};
const GLIDE_MS = 450;
const ROW_MAX = 15.5; // of a panel, in hundredths of its size
const ROW_WANTED = 12.4;
const ROWS_LEAST = 3; // of each of several stops
const STOP_WIDTH = 72;
const STOP_HEAD = 8;

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function add(parent, tag, name) {
  const child = document.createElement(tag);
  if (name) child.className = name;
  parent.appendChild(child);
  return child;
}

function each(nodes, work) {
  Array.prototype.forEach.call(nodes, work);
}

/** A sign that is a picture only; what it means is said beside it. */
function sign(parent, name) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("viewBox", "0 0 24 24");
  drawn.setAttribute("aria-hidden", "true");
  parent.appendChild(drawn);
  draw(drawn, name);
  return drawn;
}

function draw(drawn, name) {
  if (drawn.getAttribute("data-name") === name) return;
  drawn.setAttribute("data-name", name);
  drawn.setAttribute("class", `mark mark-${name}`);
  while (drawn.firstChild) drawn.removeChild(drawn.firstChild);
  (MARKS[name] || []).forEach((way) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", way);
    drawn.appendChild(path);
  });
}

/** One row. Nothing of the feed becomes markup: names are written as text, colours only if they are six hex digits. */
class Row {
  constructor() {
    this.root = document.createElement("li");
    this.root.className = "row";
    this.badge = add(add(this.root, "span", "badge-place"), "b", "badge");
    const to = add(this.root, "div", "to");
    this.destination = add(to, "span", "destination");
    const note = add(to, "span", "note");
    this.access = add(note, "i", "access");
    sign(this.access, "access");
    this.accessWord = add(this.access, "em", "unseen");
    this.note = add(note, "span", "");
    this.gone = add(note, "span", "gone");
    this.goneTime = add(this.gone, "s", "");
    this.goneWord = add(this.gone, "span", "");
    const when = add(this.root, "div", "when");
    const figure = add(when, "span", "figure");
    this.figure = add(figure, "span", "");
    this.unit = add(figure, "small", "");
    const kind = add(when, "span", "kind");
    this.mark = sign(kind, "none");
    this.kind = add(kind, "span", "");
    this.shownColour = null;
  }

  paint(line, said, words) {
    mark(this.root, "data-state", said.state);
    mark(this.root, "data-due", said.due ? "yes" : "no");
    mark(this.root, "data-phrase", said.phrase ? "yes" : "no");
    write(this.badge, line.route);
    mark(this.badge, "data-long", line.route.length > 4 ? "yes" : "no");
    this.colour(line.colour || "", line.text_colour || "");
    write(this.destination, words.name(line.destination));
    mark(this.access, "data-shown", said.accessible ? "yes" : "no");
    write(this.accessWord, said.accessible ? words.say("accessible") : "");
    write(this.note, said.note);
    mark(this.gone, "data-shown", said.gone ? "yes" : "no");
    write(this.goneTime, said.gone);
    write(this.goneWord, said.gone ? words.say("cancelled") : "");
    write(this.figure, said.figure);
    write(this.unit, said.unit);
    write(this.kind, said.kind);
    draw(this.mark, said.mark);
  }

  colour(colour, ink) {
    if (this.shownColour === colour + ink) return;
    this.shownColour = colour + ink;
    const known = isColour(colour);
    this.badge.style.backgroundColor = known ? `#${colour}` : "";
    this.badge.style.color = known ? `#${inkOn(colour, ink)}` : "";
  }
}

class Rows {
  constructor(list) {
    this.list = list;
    this.byKey = new Map();
    this.order = "";
    this.calm = window.matchMedia && matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  /** Show `lines`; `arrange` gives rows their room, before rows that moved glide to their new places. */
  show(lines, teller, arrange) {
    const order = lines.map((line) => line.key).join("\n");
    const before = order !== this.order && !this.calm ? this.places() : null;
    let at = this.list.firstChild;
    lines.forEach((line) => {
      let row = this.byKey.get(line.key);
      if (!row) this.byKey.set(line.key, (row = new Row()));
      row.paint(line, teller.tell(line), teller.words);
      if (row.root === at) at = at.nextSibling;
      else this.list.insertBefore(row.root, at);
    });
    if (order !== this.order) this.sweep(new Set(lines.map((line) => line.key)));
    this.order = order;
    arrange();
    if (before) this.glide(before);
  }

  sweep(kept) {
    this.byKey.forEach((row, key) => {
      if (kept.has(key)) return;
      this.list.removeChild(row.root);
      this.byKey.delete(key);
    });
  }

  places() {
    const places = new Map();
    this.byKey.forEach((row) => {
      if (!row.root.hidden) places.set(row, row.root.getBoundingClientRect().top);
    });
    return places;
  }

  /** Rows that changed places move there, so that the eye can follow. */
  glide(before) {
    before.forEach((top, row) => {
      if (row.root.hidden) return;
      const byPx = top - row.root.getBoundingClientRect().top;
      if (!byPx) return;
      row.root.style.transition = "none";
      row.root.style.transform = `translateY(${byPx}px)`;
      requestAnimationFrame(() => {
        row.root.style.transition = `transform ${GLIDE_MS}ms ease-out`;
        row.root.style.transform = "";
      });
    });
  }

  /** A panel has no scrollbar: the soonest rows stay, the others take turns below. Return how many turns there are. */
  fit(height, unit, page) {
    const room = height - this.list.clientTop;
    const fitting = Math.max(1, Math.floor(room / (ROW_WANTED * unit)));
    const staying = Math.floor(fitting / 2);
    const turning = fitting - staying;
    const pages = Math.max(1, Math.ceil((this.byKey.size - staying) / turning));
    const from = staying + (page % pages) * turning;
    each(this.list.children, (child, i) => {
      const hidden = i >= staying && (i < from || i >= from + turning);
      if (child.hidden !== hidden) child.hidden = hidden;
    });
    const heightPx = Math.floor(Math.min(room / fitting, ROW_MAX * unit));
    if (this.heightPx !== heightPx) this.list.style.setProperty("--row-height", `${heightPx}px`);
    this.heightPx = heightPx;
    return pages;
  }
}

/** One of the stops of a board: its name, where there are several, and its rows. */
class StopView {
  constructor(root, stopId) {
    this.root = root;
    mark(root, "data-stop", stopId);
    this.title = root.querySelector(".stop-name");
    this.list = root.querySelector(".rows");
    this.empty = root.querySelector(".empty");
    this.list.textContent = "";
    this.rows = new Rows(this.list);
  }

  name(name, code) {
    if (this.title.hidden !== !name) this.title.hidden = !name;
    write(this.title.firstElementChild, name);
    write(this.title.lastElementChild, code);
  }

  say(empty, label) {
    if (this.empty.hidden !== !empty) this.empty.hidden = !empty;
    write(this.empty, empty);
    mark(this.list, "aria-label", label);
  }

  /** Give the stop its part of the screen; sizes give way to `least` rows. Return how many turns its rows take. */
  fit(height, unit, least, page) {
    this.stretch(`${Math.floor(height)}px`);
    let own = unit;
    if (least) {
      const head = this.title.hidden ? 0 : STOP_HEAD * unit;
      own = Math.min(unit, this.root.clientWidth / STOP_WIDTH, (height - head - unit) / (least * ROW_WANTED));
    }
    if (own !== this.unit) this.root.style.setProperty("--u", `${own}px`);
    this.unit = own;
    const above = this.list.offsetTop - this.root.offsetTop;
    return this.rows.fit(height - this.empty.offsetHeight - above, own, page);
  }

  /** While an alert fills the board: a few rows, in as little room as they need. */
  shrink(count) {
    this.stretch("");
    this.root.style.removeProperty("--u");
    this.unit = 0;
    each(this.list.children, (child, i) => (child.hidden = i >= count));
  }

  stretch(height) {
    if (this.root.style.height !== height) this.root.style.height = height;
  }
}

function isColour(text) {
  return /^[0-9a-f]{6}$/i.test(text);
}

/** WCAG 2.2 relative luminance. */
function luminance(colour) {
  const [red, green, blue] = [0, 2, 4].map((at) => {
    const part = parseInt(colour.substr(at, 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : Math.pow((part + 0.055) / 1.055, 2.4);
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const a = luminance(one);
  const b = luminance(other);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** The feed's own text colour where it can be read, else white or black, whichever can be read better. */
function inkOn(colour, wanted) {
  if (isColour(wanted) && contrast(colour, wanted) >= 4.5) return wanted;
  return contrast(colour, "ffffff") >= contrast(colour, "000000") ? "ffffff" : "000000";
}
