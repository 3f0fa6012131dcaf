// Telephones of the demo: choose one, type a message, read the answers as they come.
(() => {
  "use strict";

  const LANGUAGES = ["kk", "ru", "en"];
  const AGAIN_MS = 2000;
  const EXAMPLES = ["balance", "top_up", "kk", "ru", "en"];
  const PLAIN = /^[A-Za-z0-9 \n\r!"#%&'()*+,\-./:;<=>?]*$/; // letters that GSM 7 bit and ASCII share
  const at = (id) => document.getElementById(id);

  let texts = {};
  let language = remembered();
  let network = { short_code: "", phones: [], bound: {} };
  let phone = "";
  let shown = 0; // number of the last message on the screen
  let waiting = null; // the request that is held for the next one

  function remembered() {
    let kept = null;
    try {
      kept = localStorage.getItem("language");
    } catch {
      kept = null; // storage may be forbidden
    }
    const asked = new URLSearchParams(location.search).get("lang");
    const wanted = asked || kept || (navigator.language || "").slice(0, 2);
    return LANGUAGES.includes(wanted) ? wanted : "kk";
  }

  function say(key, values = {}) {
    const text = (texts[language] || {})[key] || "";
    return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  }

  function made(name, fields = {}, ...children) {
    const element = Object.assign(document.createElement(name), fields);
    element.append(...children);
    return element;
  }

  function spoken(number) {
    return number.replace(/^\+7(\d{3})(\d{3})(\d{2})(\d{2})$/, "+7 $1 $2 $3 $4");
  }

  function segments(text) {
    const plain = PLAIN.test(text);
    const [whole, part] = plain ? [160, 153] : [70, 67];
    return text.length <= whole ? 1 : Math.ceil(text.length / part);
  }

  function drawWords() {
    document.documentElement.lang = language;
    document.title = say("title");
    for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
    at("other-number").placeholder = say("other_hint");
    at("languages").replaceChildren(
      ...LANGUAGES.map((one) => {
        const button = made("button", { type: "button", lang: one, textContent: one.toUpperCase() });
        button.setAttribute("aria-pressed", String(one === language));
        button.addEventListener("click", () => speak(one));
        return button;
      }),
    );
    const examples = EXAMPLES.map((one) => {
      const button = made("button", { type: "button", textContent: say(`example.${one}`) });
      button.addEventListener("click", () => write(button.textContent));
      return button;
    });
    at("examples").replaceChildren(at("examples-title"), ...examples);
    drawPhones();
    drawConversation();
    drawCount();
  }

  function drawPhones() {
    const known = network.phones.some((one) => one.number === phone);
    const all = known || !phone ? network.phones : [...network.phones, { number: phone, operator: "", about: "other" }];
    at("phones").replaceChildren(
      ...all.map((one) => {
        const radio = made("input", { type: "radio", name: "phone", value: one.number, checked: one.number === phone });
        radio.addEventListener("change", () => take(one.number));
        const about = [one.operator, say(`about.${one.about}`)].filter(Boolean).join(" · ");
        return made("label", {}, radio, made("b", { textContent: spoken(one.number) }), made("small", { textContent: about }));
      }),
    );
  }

  function drawConversation() {
    at("conversation-title").textContent = say("conversation", { code: network.short_code });
    at("nothing").hidden = at("messages").childElementCount > 0;
    for (const item of at("messages").children) {
      const who = say(item.classList.contains("mine") ? "me" : "answer");
      const parts = Number(item.dataset.parts) > 1 ? ` · ${say("parts", { n: item.dataset.parts })}` : "";
      item.querySelector("small").textContent = `${who} · ${item.dataset.at}${parts}`;
    }
  }

  function drawCount() {
    const text = at("text").value;
    at("count").textContent = say("count", { n: text.length, parts: segments(text) });
  }

  function drawNetwork(bound) {
    at("network").textContent = say(bound ? "bound" : "unbound");
    at("network").classList.toggle("off", !bound);
  }

  function add(message) {
    shown = Math.max(shown, message.number);
    const item = made("li", { className: message.mine ? "mine" : "" }, made("small"), message.text);
    item.dataset.at = new Date(message.at_ms).toLocaleTimeString("ru", { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Qyzylorda" });
    item.dataset.parts = message.parts;
    at("messages").append(item);
  }

  function write(text) {
    at("text").value = text;
    at("text").focus();
    drawCount();
  }

  function speak(wanted) {
    language = wanted;
    try {
      localStorage.setItem("language", wanted);
    } catch {
      // storage may be forbidden: the choice lasts as long as the page
    }
    drawWords();
  }

  function take(number) {
    phone = number;
    shown = 0;
    at("messages").replaceChildren();
    drawPhones();
    drawConversation();
    if (waiting) waiting.abort();
  }

  async function listen() {
    for (;;) {
      const mine = (waiting = new AbortController());
      const asked = phone;
      try {
        const query = new URLSearchParams({ number: asked, after: shown });
        const answer = await fetch(`/sms/emulator/messages?${query}`, { signal: mine.signal, cache: "no-store" });
        if (!answer.ok) throw new Error(String(answer.status));
        const screen = await answer.json();
        if (asked !== phone) continue;
        screen.messages.forEach(add);
        drawConversation();
        drawNetwork(screen.bound);
        if (screen.messages.length) at("messages").scrollTop = at("messages").scrollHeight;
      } catch {
        if (mine.signal.aborted) continue; // another telephone was taken
        at("network").textContent = say("failed");
        at("network").classList.add("off");
        await new Promise((done) => setTimeout(done, AGAIN_MS));
      }
    }
  }

  async function send(event) {
    event.preventDefault();
    const body = JSON.stringify({ number: phone, short_code: network.short_code, text: at("text").value });
    const headers = { "Content-Type": "application/json", "X-Emulator": "1" };
    try {
      const answer = await fetch("/sms/emulator/send", { method: "POST", headers, body });
      if (!answer.ok) throw new Error(String(answer.status));
      write("");
    } catch {
      at("network").textContent = say("failed");
      at("network").classList.add("off");
    }
  }

  async function takeOther(event) {
    event.preventDefault();
    const typed = at("other-number").value;
    const digits = typed.replace(/\D/g, "").replace(/^8/, "7");
    const number = `+${digits.length === 10 ? `7${digits}` : digits}`;
    const fits = /^\+77\d{9}$/.test(number);
    at("other-wrong").textContent = fits ? "" : say("wrong_number");
    if (fits) take(number);
  }

  async function begin() {
    texts = await (await fetch("/static/sms-emulator/texts.json")).json();
    network = await (await fetch("/sms/emulator/network", { cache: "no-store" })).json();
    phone = network.phones[0].number;
    drawWords();
    drawNetwork(network.bound[network.phones[0].operator]);
    document.body.dataset.ready = "yes";
    listen();
  }

  at("compose").addEventListener("submit", send);
  at("other").addEventListener("submit", takeOther);
  at("text").addEventListener("input", drawCount);
  at("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      at("compose").requestSubmit();
    }
  });
  begin();
})();
