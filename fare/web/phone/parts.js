// Pieces of the page. Texts are set as text, never as HTML.

const SPACE = "\u00a0"; // no break within a number

export const element = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const { attributes, ...plain } = properties;
  const made = Object.assign(document.createElement(tag), plain);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function button(text, action, properties = {}) {
  const made = make("button", { type: "button", textContent: text, ...properties });
  made.addEventListener("click", action);
  return made;
}

/** Tiyn as people write tenge: whole ones without tiyn, as prices on buses are. */
export function money(tiyn, language) {
  const whole = String(Math.floor(Math.abs(tiyn) / 100)).replace(/\B(?=(\d{3})+$)/g, SPACE);
  const rest = Math.abs(tiyn) % 100;
  const part = rest ? `${language === "en" ? "." : ","}${String(rest).padStart(2, "0")}` : "";
  return `${tiyn < 0 ? "−" : ""}${whole}${part}${SPACE}₸`;
}

/** An SVG of ours as an element that says what it is. */
export function drawing(svg, label) {
  const drawn = document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true);
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", label);
  return drawn;
}

/** Ten digits in groups that can be read out. */
export const grouped = (code) => code.replace(/(\d{4})(\d{3})(\d{3})/, "$1 $2 $3");
