// Whether a passenger may ride, from a vehicle's list: what fare/inspection/verdict.py says, without a connection.
// One table of cases runs through both (tests/fare/inspection/verdict_cases.py).

const QUASIGROUP = [
  "0317598642",
  "7092154863",
  "4206871359",
  "1750983426",
  "6123045978",
  "3674209581",
  "5869720134",
  "8945362017",
  "9438617205",
  "2581436790",
];
const CODE_DIGITS = 10;
const HASH_BYTES = 8;

const damm = (digits) => [...digits].reduce((interim, digit) => Number(QUASIGROUP[interim][Number(digit)]), 0);

/** The ten digits of what was typed or scanned, null if it is no code. */
export function normalCode(typed) {
  const digits = typed.replace(/[\s\-–]/g, "");
  return new RegExp(`^[0-9]{${CODE_DIGITS}}$`).test(digits) && damm(digits) === 0 ? digits : null;
}

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const fromHex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

async function codeHash(code, salt) {
  const key = await crypto.subtle.importKey("raw", fromHex(salt), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const digest = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(code));
  return hex(new Uint8Array(digest).slice(0, HASH_BYTES));
}

const latest = (own, here) =>
  own
    .filter((tap) => tap.here === here && tap.until_ms)
    .reduce((last, tap) => (last === null || tap.until_ms > last.until_ms ? tap : last), null);

function unpaid(own, nowMs) {
  const ended = latest(own, true);
  if (ended) return ["expired", ended];
  const elsewhere = latest(own, false);
  if (elsewhere && nowMs < elsewhere.until_ms) return ["other_vehicle", elsewhere];
  const refused = own.filter((tap) => tap.here && !tap.until_ms);
  return refused.length ? ["refused", refused.at(-1)] : ["not_paid", null];
}

/** The verdict on who shows `code`, by `held`, the list of the vehicle asked for. Asking changes nothing. */
export async function inspect({ code, boardedBefore }, held, nowMs) {
  const verdict = (standing, tap) => ({
    standing,
    otherwise: null,
    tapped_ms: tap?.tapped_ms ?? 0,
    until_ms: tap?.until_ms ?? 0,
    riders: tap?.riders ?? [],
    next_stop: "",
    complete_until_ms: held.complete_until_ms,
  });
  const digits = normalCode(code);
  const shown = digits === null ? "" : await codeHash(digits, held.salt);
  const own = held.taps.filter((tap) => tap.code_hash === shown);
  const tap = latest(own, true);
  if (tap && nowMs < tap.until_ms) return verdict(tap.outcome === "free_by_rule" ? "free" : "paid", tap);
  if (held.rides_free) return verdict("free", null);
  if (nowMs - held.complete_until_ms > held.age_max_ms) return verdict("unknown", null);
  const [standing, shownBy] = unpaid(own, nowMs);
  if (held.left_stop_ms && !boardedBefore) {
    return { ...verdict("grace", null), otherwise: standing, next_stop: held.next_stop };
  }
  return verdict(standing, shownBy);
}

export const FOUNDS_WARNING = new Set(["expired", "other_vehicle", "refused", "not_paid"]);
