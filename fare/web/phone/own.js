// The phone's own QR: shown to the validator or an inspector, another one every ten seconds, also without a network.

import { Refused, ask } from "./ask.js";
import { kept } from "./kept.js";
import { ownKeys } from "./keys.js";
import { RENEW_MS, drawCode, newKeys, ownCode, publicBytes } from "./own_qr.js";
import { drawing, element } from "./parts.js";

const RENEW_KEY_MS = 30 * 86_400_000; // before a key's end it is registered again
const STALE = new Set(["key_taken", "key_not_proved"]);

export class Own {
  constructor(page) {
    this.page = page;
    this.keys = null;
    this.cannot = "";
    setInterval(() => this.renew(), RENEW_MS);
    document.addEventListener("visibilitychange", () => this.renew()); // a code that waited behind another page is old
  }

  async open() {
    this.cannot = "";
    let held = await ownKeys.read();
    if (!held || held.until_ms - kept.now() < RENEW_KEY_MS) {
      try {
        held = await this.register(held?.keys);
      } catch (error) {
        if (error?.name === "NotSupportedError") this.cannot = "own.not_here";
        else if (!held) throw error;
      }
    }
    this.keys = held?.keys ?? null;
    await this.renew();
  }

  async register(before) {
    const keys = before ?? (await newKeys());
    try {
      const { until_ms } = await ask("keys", {
        public: btoa(String.fromCharCode(...(await publicBytes(keys)))),
        code: await ownCode(keys, this.page.city.city, kept.now()),
      });
      await ownKeys.keep({ keys, until_ms });
      return { keys, until_ms };
    } catch (error) {
      if (before && error instanceof Refused && STALE.has(error.message)) return this.register(undefined);
      throw error;
    }
  }

  async renew() {
    if (!this.keys || this.page.tab !== "qr" || document.hidden) return;
    const text = await ownCode(this.keys, this.page.city.city, kept.now());
    element("own-code").replaceChildren(drawing(drawCode(text), this.page.words.say("own.label")));
    element("own-code").dataset.code = text;
  }

  async forget() {
    this.keys = null;
    element("own-code").replaceChildren();
    await ownKeys.forget();
  }

  show() {
    element("own-cannot").hidden = !this.cannot;
    element("own-cannot").textContent = this.cannot && this.page.words.say(this.cannot);
    element("own-code").hidden = !this.keys;
    element("own-how").hidden = !this.keys;
  }
}
