// The vehicles as text, in the order of their routes. It holds what the map holds, for reading, searching and keyboards.

export class VehicleList {
  /**
   * @param {HTMLElement} root a list
   * @param {{routeOf: Function, describe: (vehicle: object) => {title: string, detail: string, note: string, late: string, lateness: string}}} views
   * @param {(id: string) => void} chosen
   */
  constructor(root, views, chosen) {
    this.root = root;
    this.views = views;
    this.rows = new Map();
    this.selected = "";
    root.addEventListener("click", (event) => {
      const row = event.target.closest("[data-vehicle]");
      if (row) chosen(row.dataset.vehicle);
    });
    root.addEventListener("keydown", (event) => this.walk(event));
  }

  /** Show `vehicles` in this order; rows that stay are changed in place, so that focus and scrolling stay too. */
  show(vehicles) {
    const wanted = new Set(vehicles.map((vehicle) => vehicle.id));
    for (const [id, row] of this.rows) {
      if (!wanted.has(id)) {
        row.item.remove();
        this.rows.delete(id);
      }
    }
    let before = this.root.firstElementChild;
    for (const vehicle of vehicles) {
      const row = this.rows.get(vehicle.id) ?? this.newRow(vehicle.id);
      this.fill(row, vehicle);
      if (row.item === before) before = before.nextElementSibling;
      else this.root.insertBefore(row.item, before);
    }
    this.keepOneInTabOrder();
  }

  newRow(id) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "row";
    button.dataset.vehicle = id;
    button.tabIndex = -1;
    const badge = part("span", "route-badge");
    const words = part("span", "row-words");
    const title = part("span", "row-title");
    const detail = part("span", "row-detail");
    words.append(title, detail);
    const side = part("span", "row-side");
    const late = part("span", "row-late");
    const note = part("span", "row-note");
    side.append(late, note);
    button.append(badge, words, side);
    item.append(button);
    const row = { item, button, badge, title, detail, late, note };
    this.rows.set(id, row);
    return row;
  }

  fill(row, vehicle) {
    const said = this.views.describe(vehicle);
    const route = this.views.routeOf(vehicle);
    write(row.badge, route?.name ?? "–");
    const grey = vehicle.phase === "silent" || !route;
    row.badge.style.setProperty("--badge", grey ? "var(--quiet)" : route.colour);
    row.badge.style.setProperty("--on-badge", grey ? "var(--surface)" : route.text_colour);
    write(row.title, said.title);
    write(row.detail, said.detail);
    write(row.note, said.note);
    write(row.late, said.late);
    row.late.dataset.late = said.lateness;
    row.button.dataset.phase = vehicle.phase;
    row.button.setAttribute("aria-pressed", String(vehicle.id === this.selected));
  }

  select(id) {
    this.selected = id;
    for (const [rowId, row] of this.rows) row.button.setAttribute("aria-pressed", String(rowId === id));
    this.keepOneInTabOrder();
    this.rows.get(id)?.item.scrollIntoView({ block: "nearest" });
  }

  /** One stop for the Tab key; arrows, Home and End walk inside. */
  keepOneInTabOrder() {
    const current = this.rows.get(this.selected)?.button ?? this.root.querySelector("button");
    const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    for (const { button } of this.rows.values()) {
      const wanted = button === (focused ?? current) ? 0 : -1;
      if (button.tabIndex !== wanted) button.tabIndex = wanted;
    }
  }

  walk(event) {
    const item = event.target.closest("li");
    if (!item) return;
    const to = {
      ArrowDown: item.nextElementSibling,
      ArrowUp: item.previousElementSibling,
      Home: this.root.firstElementChild,
      End: this.root.lastElementChild,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    to.firstElementChild.focus();
    this.keepOneInTabOrder();
  }
}

function part(tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
