// The screen of a validator: shows answers as they come, in three languages, and says when nobody answers.
(() => {
  "use strict";

  const LANGUAGES = ["kk", "ru", "en"];
  const SHOWN_FOR_MS = 4000;
  const CODE_FOR_MS = 15000; // to ask for it after a touch, and again to write it down
  const SILENCE_MAX_MS = 5000; // a status comes every second
  const CODE_PREFIX = "AY1:";
  const DETECTOR = "/vendor/qr/decode.js"; // for browsers without one
  const SCAN_MS = 200;
  const TYPED_WITHIN_MS = 200; // between two keys; a person is slower
  const SIGNS = {
    idle: '<rect x="14" y="26" width="72" height="48" rx="8"/><path d="M14 42h72"/>',
    green: '<path d="M18 54l22 22 42-50"/>',
    red: '<path d="M24 24l52 52M76 24L24 76"/>',
    off: '<circle cx="50" cy="50" r="34"/><path d="M26 26l48 48"/>',
  };
  const at = (id) => document.getElementById(id);

  let texts = {};
  let language = remembered();
  let status = null;
  let answer = null;
  let answerTimer = 0;
  let heardMs = 0;
  let code = "";
  let codeTimer = 0;
  let camera = null;

  function remembered() {
    let kept = null;
    try {
      kept = localStorage.getItem("language");
    } catch {
      kept = null; // storage may be forbidden
    }
    const wanted = kept || (navigator.language || "").slice(0, 2);
    return LANGUAGES.includes(wanted) ? wanted : "kk";
  }

  function say(key, values = {}) {
    const text = (texts[language] || {})[key] || "";
    return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  }

  function tenge(tiyn) {
    const whole = Math.trunc(Math.abs(tiyn) / 100);
    const rest = Math.abs(tiyn) % 100;
    return rest ? `${whole},${String(rest).padStart(2, "0")}` : String(whole);
  }

  function age(seconds) {
    return seconds < 5400
      ? say("minutes", { n: Math.round(seconds / 60) })
      : say("hours", { n: Math.round(seconds / 3600) });
  }

  function light() {
    if (answer) return answer.green ? "green" : "red";
    return status && status.state === "in_service" ? "idle" : "off";
  }

  function drawAnswer() {
    at("outcome").textContent = say(`outcome.${answer.outcome}`);
    at("price").hidden = !answer.price_tiyn;
    at("price").textContent = say("price", { tenge: tenge(answer.price_tiyn) });
    at("reason").textContent = say(`reason.${answer.reason}`);
    const facts = [];
    if (answer.category && answer.category !== "adult") facts.push(say(`category.${answer.category}`) || answer.category);
    if (answer.riders > 1) facts.push(say("riders", { n: answer.riders }));
    if (answer.balance_tiyn !== null) {
      facts.push(say(answer.balance_tiyn < 0 ? "debt" : "balance", { tenge: tenge(answer.balance_tiyn) }));
    }
    if (!answer.recorded) facts.push(say("not_recorded"));
    at("facts").textContent = facts.join(" · ");
  }

  function drawIdle() {
    const works = status && status.state === "in_service";
    at("outcome").textContent = works ? say("hold") : say(`state.${status ? status.state : "no_journal"}`);
    at("price").hidden = true;
    at("reason").textContent = "";
    const prices = works ? status.prices.map(([kind, tiyn]) => `${say(`kind.${kind}`)} ${tenge(tiyn)} ₸`) : [];
    at("facts").textContent = prices.join(" · ");
  }

  function drawStatus() {
    if (!status) return;
    at("vehicle").textContent = say("vehicle", { vehicle: status.vehicle_id });
    at("route").textContent = status.route_id;
    at("state").textContent = say(`state.${status.state}`);
    at("online").textContent = say(status.online ? "online" : "offline");
    at("waiting").textContent = say("waiting", { n: status.waiting });
    at("list").textContent =
      status.list_age_s < 0 ? say("no_list") : say("list", { version: status.list_version, age: age(status.list_age_s) });
    at("chosen").textContent = status.companions ? say("companions_chosen", { n: status.companions }) : "";
  }

  function draw() {
    const shown = light();
    const screen = at("screen");
    at("sign").innerHTML = SIGNS[shown];
    screen.dataset.light = shown;
    if (answer) drawAnswer();
    else drawIdle();
    drawStatus();
  }

  function take(message) {
    heardMs = Date.now();
    if (message.type === "status") {
      status = message;
    } else {
      answer = message;
      clearTimeout(answerTimer);
      answerTimer = setTimeout(() => {
        answer = null;
        draw();
      }, SHOWN_FOR_MS);
      offerCode(message.history_code);
      at("screen").dataset.number = message.number;
      at("screen").dataset.fresh = "false";
      void at("screen").offsetWidth; // so that the sign arrives anew for each tap
      at("screen").dataset.fresh = "true";
    }
    draw();
  }

  /** Offer the code of the touch to who has just made it; the next passenger finds nothing. */
  function offerCode(offered) {
    code = offered;
    at("trips").hidden = !code;
    at("trips-code").textContent = "";
    clearTimeout(codeTimer);
    codeTimer = setTimeout(() => offerCode(""), CODE_FOR_MS);
  }

  function showCode() {
    const grouped = code.replace(/(\d{4})(?=\d)/, "$1 ");
    const said = say("trips_code", { vehicle: status ? status.vehicle_id : "", code: grouped });
    offerCode("");
    at("trips-code").textContent = said;
  }

  function listen() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket.onmessage = (event) => take(JSON.parse(event.data));
    socket.onclose = () => setTimeout(listen, 1000);
  }

  function post(path, body) {
    return fetch(path, { method: "POST", headers: { "X-Validator": "1" }, body: JSON.stringify(body) }).then((response) =>
      response.text(),
    );
  }

  function button(into, key, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.dataset.text = key;
    made.addEventListener("click", act);
    into.append(made);
    return made;
  }

  function hold(name) {
    const torn = at("torn").checked;
    const cards = at("together").checked ? [name, name === "bank" ? "adult" : "bank"] : [name];
    at("torn").checked = at("together").checked = false;
    post("/hold", { cards, torn });
  }

  /** Show what somebody pasted in place of a scanner. */
  function showPasted(event) {
    event.preventDefault();
    post("/code", { text: at("code").value });
    at("code").value = "";
  }

  /** Let the camera be the scanner until the button is pressed again; a code that stays before it is shown once. */
  async function scan() {
    if (camera) {
      stopScanning();
      return;
    }
    const Detector = window.BarcodeDetector ?? (await import(DETECTOR)).BarcodeDetector;
    const detector = new Detector({ formats: ["qr_code"] });
    const stream = await navigator.mediaDevices.getUserMedia({ video: true });
    const video = at("camera");
    video.srcObject = stream;
    await video.play();
    let last = "";
    const looking = setInterval(async () => {
      const [found] = await detector.detect(video);
      const text = found ? found.rawValue : "";
      if (text.startsWith(CODE_PREFIX) && text !== last) post("/code", { text });
      last = text || last;
    }, SCAN_MS);
    camera = { stream, looking };
    video.hidden = false;
  }

  function stopScanning() {
    clearInterval(camera.looking);
    for (const track of camera.stream.getTracks()) track.stop();
    camera = null;
    at("camera").hidden = true;
  }

  /** A scanner may be a keyboard: it types a code at once and ends it with Enter. No button must take its keys. */
  function listenToScanner() {
    let typed = "";
    let lastMs = 0;
    document.addEventListener(
      "keydown",
      (event) => {
        if (event.target === at("code") || event.ctrlKey || event.altKey || event.metaKey) return;
        if (event.timeStamp - lastMs > TYPED_WITHIN_MS) typed = "";
        lastMs = event.timeStamp;
        const scanned = typed.startsWith(CODE_PREFIX);
        if (scanned) event.preventDefault();
        if (event.key === "Enter") {
          if (scanned) post("/code", { text: typed });
          typed = "";
        } else if (event.key.length === 1) {
          typed += event.key;
        }
      },
      true,
    );
  }

  function word() {
    document.documentElement.lang = language;
    document.title = say("title");
    for (const element of document.querySelectorAll("[data-text]")) {
      element.textContent = say(element.dataset.text) || element.dataset.text.split(".").pop();
    }
    for (const one of at("languages").children) one.setAttribute("aria-pressed", String(one.lang === language));
    draw();
  }

  function languageButtons() {
    for (const one of LANGUAGES) {
      const made = button(at("languages"), "", () => {
        language = one;
        try {
          localStorage.setItem("language", one);
        } catch {
          // it is chosen until the page is left
        }
        word();
      });
      delete made.dataset.text;
      made.textContent = made.lang = one;
    }
  }

  async function start() {
    const [catalogue, drawer] = await Promise.all([
      fetch("/static/validator/texts.json").then((response) => response.json()),
      fetch("/drawer.json").then((response) => response.json()),
    ]);
    texts = catalogue;
    languageButtons();
    at("drawer").hidden = !drawer.cards.length;
    for (const name of drawer.cards) button(at("cards"), `card.${name}`, () => hold(name)).dataset.card = name;
    for (const category of ["adult", ...drawer.categories]) {
      const chosen = [[category, 1]];
      button(at("companions"), `category.${category}`, () => post("/companions", { riders: chosen }));
    }
    at("trips").addEventListener("click", showCode);
    at("code-form").addEventListener("submit", showPasted);
    at("scan").hidden = !navigator.mediaDevices; // only where the page is trusted: this machine, or HTTPS
    at("scan").addEventListener("click", () => scan().catch(() => (at("scan").disabled = true))); // no camera
    listenToScanner();
    at("free").addEventListener("click", () => post("/free", {}));
    at("sign").innerHTML = SIGNS.off;
    word();
    listen();
    setInterval(() => {
      if (status && Date.now() - heardMs > SILENCE_MAX_MS) {
        status = null;
        draw();
      }
    }, 1000);
  }

  start();
})();
