// The phone's own QR (fare/phone/own_qr.py): this second, signed by a key that never leaves this browser.

import encodeQR from "/vendor/qr/index.js";
import { encode, keyIdOf, toBase45, toBeSigned } from "./codes.js";

export const RENEW_MS = 10_000;
const PREFIX = "AY1:";
const CONTEXT = "ayaldama phone 1\0";

/** A new pair of keys. The private one can sign and can be kept in IndexedDB; nobody can read it, not even this page. */
export function newKeys() {
  return crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
}

/** The 32 bytes to register. */
export async function publicBytes(keys) {
  return new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
}

/** What the phone shows at `nowMs` of the server's time in `city`; to be made anew every `RENEW_MS`. */
export async function ownCode(keys, city, nowMs) {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, Math.floor(nowMs / 1000));
  const message = { keyId: await keyIdOf(await publicBytes(keys)), payload };
  const signed = await crypto.subtle.sign("Ed25519", keys.privateKey, toBeSigned(message, CONTEXT + city));
  return PREFIX + toBase45(encode({ ...message, signature: new Uint8Array(signed) }));
}

/** The code as SVG: level M, alphanumeric, version 6. */
export function drawCode(text) {
  return encodeQR(text, "svg", { ecc: "medium", encoding: "alphanumeric", border: 4 });
}
