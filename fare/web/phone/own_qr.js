// The phone's own QR (fare/phone/own_qr.py): a COSE_Sign1 of this second by a key that never leaves this browser.
// All of it but key id, second and signature are fixed bytes, so no library is needed to build it.

import encodeQR from "/vendor/qr/index.js";

export const RENEW_MS = 10_000;
const PREFIX = "AY1:";
const CONTEXT = "ayaldama phone 1\0";
const KEY_ID_BYTES = 8;
const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const ALGORITHM_AND_KEY = [0xa2, 0x01, 0x27, 0x04, 0x48]; // {1: -8, 4: h'…'}

const utf8 = (text) => new TextEncoder().encode(text);
const bytes = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const byteString = (data) => bytes(data.length < 24 ? [0x40 + data.length] : [0x58, data.length], data);

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
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await publicBytes(keys)));
  const header = bytes(ALGORITHM_AND_KEY, digest.slice(0, KEY_ID_BYTES));
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, Math.floor(nowMs / 1000));
  const toBeSigned = bytes(
    [0x84, 0x6a],
    utf8("Signature1"),
    byteString(header),
    byteString(utf8(CONTEXT + city)),
    byteString(payload),
  );
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", keys.privateKey, toBeSigned));
  const message = bytes([0xd2, 0x84], byteString(header), [0xa0], byteString(payload), byteString(signature));
  return PREFIX + base45(message);
}

/** The code as SVG: level M, alphanumeric, version 6. */
export function drawCode(text) {
  return encodeQR(text, "svg", { ecc: "medium", encoding: "alphanumeric", border: 4 });
}

function base45(data) {
  let text = "";
  for (let at = 0; at < data.length; at += 2) {
    const pair = data.slice(at, at + 2);
    let number = pair.reduce((sum, byte) => sum * 256 + byte, 0);
    for (let place = 0; place <= pair.length; place += 1) {
      text += BASE45[number % 45];
      number = Math.floor(number / 45);
    }
  }
  return text;
}
