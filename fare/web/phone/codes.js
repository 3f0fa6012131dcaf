// Signed codes as bytes (fare/phone/cose.py, base45.py): a COSE_Sign1 in its one form. All of it but key id, payload and
// signature are fixed bytes, so nothing is parsed: what is read is built again and must be what was shown.

const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const START = [0xd2, 0x84]; // tag 18, an array of four
const ALGORITHM_AND_KEY = [0xa2, 0x01, 0x27, 0x04, 0x48]; // {1: -8, 4: h'…'}
const KEY_ID_BYTES = 8;
const SIGNATURE_BYTES = 64;
const SHORT = 24; // longer byte strings say their length in a byte of its own
const KEY_AT = START.length + 1 + ALGORITHM_AND_KEY.length;
const PAYLOAD_AT = KEY_AT + KEY_ID_BYTES + 1;

const utf8 = (text) => new TextEncoder().encode(text);
const bytes = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const byteString = (data) => bytes(data.length < SHORT ? [0x40 + data.length] : [0x58, data.length], data);
const header = (keyId) => bytes(ALGORITHM_AND_KEY, keyId);

export const hex = (data) => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
export const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** The name of a public key: 8 bytes of its SHA-256. */
export async function keyIdOf(publicKey) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", publicKey)).slice(0, KEY_ID_BYTES);
}

/** What is signed. `context` is not in the code: who verifies must know it. */
export function toBeSigned({ keyId, payload }, context) {
  const parts = [header(keyId), utf8(context), payload].map(byteString);
  return bytes([0x84, 0x6a], utf8("Signature1"), ...parts);
}

export function encode({ keyId, payload, signature }) {
  return bytes(START, byteString(header(keyId)), [0xa0], byteString(payload), byteString(signature));
}

/** The message in `data`, null if it is not of our form. Nothing in it is proved yet. */
export function decode(data) {
  const end = data.length - SIGNATURE_BYTES - 2;
  const size = end - PAYLOAD_AT;
  if (size < 1) return null;
  const message = {
    keyId: data.slice(KEY_AT, KEY_AT + KEY_ID_BYTES),
    payload: data.slice(PAYLOAD_AT + (size <= SHORT ? 1 : 2), end),
    signature: data.slice(-SIGNATURE_BYTES),
  };
  return hex(encode(message)) === hex(data) ? message : null;
}

export function toBase45(data) {
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

/** The bytes of `text`, null if it is no Base45. */
export function fromBase45(text) {
  const data = [];
  for (let at = 0; at < text.length; at += 3) {
    const digits = [...text.slice(at, at + 3)].map((character) => BASE45.indexOf(character));
    const number = digits.reduceRight((sum, digit) => sum * 45 + digit, 0);
    const size = digits.length - 1;
    if (digits.includes(-1) || size === 0 || number >= 256 ** size) return null;
    data.push(...(size === 2 ? [number >> 8, number & 255] : [number]));
  }
  return Uint8Array.from(data);
}
