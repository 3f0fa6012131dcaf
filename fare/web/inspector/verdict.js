// Whether a passenger may ride, from a vehicle's list: what fare/inspection/verdict.py says, without a connection.
// One table of cases runs through both (tests/fare/inspection/verdict_cases.py).

import { fromHex, hex } from "./codes.js";
import { isLive, isSignedBy, readOwnCode } from "./own_code.js";

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
const PAD = "phone\0";

const damm = (digits) => [...digits].reduce((interim, digit) => Number(QUASIGROUP[interim][Number(digit)]), 0);

/** The ten digits of what was typed or scanned, null if it is no code. */
export function normalCode(typed) {
  const digits = typed.replace(/[\s\-–]/g, "");
  return new RegExp(`^[0-9]{${CODE_DIGITS}}$`).test(digits) && damm(digits) === 0 ? digits : null;
}

/** Whether `text` is a code of any kind; of whom it is, and whether it is live, is for `inspect`. */
export const isCode = (text) => normalCode(text) !== null || readOwnCode(text) !== null;

async function keyed(salt, text) {
  const key = await crypto.subtle.importKey("raw", fromHex(salt), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text)));
}

const codeHash = async (code, salt) => hex((await keyed(salt, code)).slice(0, HASH_BYTES));

/** Under which hash the taps of what is shown are listed ("": of nobody here), whether it is a picture, or not to be told. */
async function shown(text, held, nowMs) {
  const own = readOwnCode(text);
  if (own === null) {
    const digits = normalCode(text);
    return { hash: digits === null ? "" : await codeHash(digits, held.salt), picture: false };
  }
  if (!isLive(own, nowMs)) return { hash: "", picture: true };
  const name = await codeHash(own.keyId, held.salt);
  const phone = held.phones.find((one) => one.key_hash === name);
  if (!phone) return { hash: "", picture: false };
  const pad = await keyed(held.salt, PAD + own.keyId);
  const publicKey = fromHex(phone.sealed).map((byte, place) => byte ^ pad[place]);
  const right = await isSignedBy(own, publicKey, held.city);
  return { hash: right ? phone.code_hash : "", picture: false, unclear: right === null };
}

const latest = (own, here) =>
  own
    .filter((tap) => tap.here === here && tap.until_ms)
    .reduce((last, tap) => (last === null || tap.until_ms > last.until_ms ? tap : last), null);

/** Whether one more passenger may show `tap` than have shown it since; what is free has no end. */
function hasPlace(tap, showingId, sinceMs) {
  if (tap.outcome === "free_by_rule") return true;
  const before = tap.shown.filter((one) => one.showing_id !== showingId && one.at_ms > sinceMs).length;
  return before < (tap.riders.reduce((sum, { count }) => sum + count, 0) || 1);
}

function unpaid(own, nowMs) {
  const here = latest(own, true);
  if (here) return [nowMs < here.until_ms ? "shown" : "expired", here];
  const elsewhere = latest(own, false);
  if (elsewhere && nowMs < elsewhere.until_ms) return ["other_vehicle", elsewhere];
  const refused = own.filter((tap) => tap.here && !tap.until_ms);
  return refused.length ? ["refused", refused.at(-1)] : ["not_paid", null];
}

/**
 * The verdict on who shows `code`, by `held`, the list of the vehicle asked for, and of "paid" the tap that has been shown
 * with it. Asking changes nothing.
 */
export async function inspect({ code, boardedBefore, showingId = "" }, held, nowMs) {
  const judged = (standing, tap) => ({
    verdict: {
      standing,
      otherwise: null,
      tapped_ms: tap?.tapped_ms ?? 0,
      until_ms: tap?.until_ms ?? 0,
      riders: tap?.riders ?? [],
      shown_ms: standing === "shown" ? Math.max(0, ...tap.shown.map((one) => one.at_ms)) : 0,
      next_stop: "",
      complete_until_ms: held.complete_until_ms,
    },
    tap: null,
  });
  const { hash, picture, unclear } = await shown(code, held, nowMs);
  const own = held.taps.filter((tap) => hash && (tap.code_hash === hash || tap.ticket_hash === hash));
  const paid = own.filter((tap) => tap.here && nowMs < tap.until_ms);
  const tap = latest(
    paid.filter((one) => hasPlace(one, showingId, nowMs - held.round_ms)),
    true,
  );
  if (tap) return { ...judged(tap.outcome === "free_by_rule" ? "free" : "paid", tap), tap };
  if (held.rides_free) return judged("free", null);
  if (unclear) return judged("unknown", null); // doubt is the passenger's
  if (!picture && nowMs - held.complete_until_ms > held.age_max_ms) return judged("unknown", null);
  const [standing, shownBy] = picture ? ["not_live", null] : unpaid(own, nowMs);
  if (held.left_stop_ms && !boardedBefore) {
    const { verdict } = judged("grace", null);
    return { verdict: { ...verdict, otherwise: standing, next_stop: held.next_stop }, tap: null };
  }
  return judged(standing, shownBy);
}

export const FOUNDS_WARNING = new Set(["expired", "other_vehicle", "refused", "shown", "not_live", "not_paid"]);
