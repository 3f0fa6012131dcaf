// A phone's code as an inspector reads it: what fare/phone/own_qr.py says, without a connection.

import { decode, fromBase45, hex, keyIdOf, toBeSigned } from "./codes.js";

const PREFIX = "AY1:";
const TEXT_MAX = 256;
const SECOND_BYTES = 4;
const BEHIND_MAX_MS = 30_000;
const AHEAD_MAX_MS = 10_000;
const CONTEXT = "ayaldama phone 1\0";

/** The code in `text`, null if there is none of our form. Nothing in it is proved yet. */
export function readOwnCode(text) {
  const trimmed = text.trim();
  if (trimmed.length > TEXT_MAX || !trimmed.startsWith(PREFIX)) return null;
  const data = fromBase45(trimmed.slice(PREFIX.length));
  const message = data && decode(data);
  if (!message || message.payload.length !== SECOND_BYTES) return null;
  const second = new DataView(message.payload.buffer).getUint32(0);
  return { keyId: hex(message.keyId), second, message };
}

/** Whether the code is of now, whoever made it. */
export function isLive(code, nowMs) {
  const behindMs = nowMs - code.second * 1000;
  return behindMs <= BEHIND_MAX_MS && behindMs >= -AHEAD_MAX_MS;
}

/** Whether the holder of `publicKey` (32 bytes) made the code in `city`; null where this browser cannot tell. */
export async function isSignedBy(code, publicKey, city) {
  if (hex(await keyIdOf(publicKey)) !== code.keyId) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
    const signed = toBeSigned(code.message, CONTEXT + city);
    return await crypto.subtle.verify("Ed25519", key, code.message.signature, signed);
  } catch (error) {
    return error.name === "NotSupportedError" ? null : false; // a browser without Ed25519; or no key on the curve
  }
}
