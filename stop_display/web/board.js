/* The board of one stop. Plain ES2015 for old browsers at stops; no library, nothing that grows.

   Parts: texts, the server's clock, the feed (WebSocket, polling when that fails), the model (lines by key), the view.
   Time is counted from performance.now() and what the server says; the device's own clock is never believed. */
(function () {
  "use strict";

  var LANGUAGES = ["kk", "ru", "en"];
  var NOW_MS = 30000; // nearer than that is "now"
  var AS_CLOCK_MS = 60 * 60000; // farther than that is a time of day
  var UNSURE_MS = 6 * 60000; // p10 to p90 wider than that is marked "~"
  var ROTATE_MS = 10000;
  var PAGE_MS = 10000;
  var ACK_EVERY_MS = 250;
  var SPEAK_EVERY_MS = 60000;
  var PAUSE_FIRST_MS = 250;
  var PAUSE_MAX_MS = 3000;
  var POLL_EVERY_MS = 10000;
  var POLL_AFTER_FAILURES = 3;
  var CLOCK_KEPT_MS = 10 * 60000;
  var RELOAD_HOUR = 3;
  var UP_BEFORE_RELOAD_MS = 6 * 3600000;

  var stopId = decodeURIComponent(location.pathname.split("/")[2] || "");
  var asked = readQuery(location.search);
  var panel = asked.mode === "panel";
  var rotating = asked.lang === "rotate";
  var texts = null;
  var language = firstLanguage();

  function element(id) { return document.getElementById(id); }
  function elapsed() { return performance.now(); }
  function write(node, text) { if (node.textContent !== text) node.textContent = text; }
  function mark(node, name, value) { if (node.getAttribute(name) !== value) node.setAttribute(name, value); }

  function readQuery(search) {
    var found = {};
    search.replace(/^\?/, "").split("&").forEach(function (part) {
      var pair = part.split("=");
      if (pair[0]) found[pair[0]] = decodeURIComponent((pair[1] || "").replace(/\+/g, " "));
    });
    return found;
  }

  function kept(name, value) {
    try {
      if (value === undefined) return localStorage.getItem("ayaldama." + name);
      localStorage.setItem("ayaldama." + name, value);
    } catch (error) { /* storage is switched off: the choice lasts as long as the page */ }
    return null;
  }

  function firstLanguage() {
    var wanted = [asked.lang, panel ? "" : kept("language")].concat(panel ? [] : navigator.languages || []);
    for (var i = 0; i < wanted.length; i++) {
      var tag = (wanted[i] || "").slice(0, 2).toLowerCase();
      if (LANGUAGES.indexOf(tag) >= 0) return tag;
    }
    return "kk";
  }

  // Texts -----------------------------------------------------------------------------------------------------------

  function say(key, values) {
    var text = texts[language][key] || key;
    return text.replace(/\{(\w+)\}/g, function (whole, name) {
      return values && values[name] !== undefined ? values[name] : whole;
    });
  }

  function named(names) { return names[language] || names.kk || ""; }

  /** Which form of "n stops": of the three languages only Russian has three. */
  function form(n) {
    if (language !== "ru") return n === 1 ? "one" : "many";
    var ten = n % 10, hundred = n % 100;
    if (ten === 1 && hundred !== 11) return "one";
    return ten >= 2 && ten <= 4 && (hundred < 12 || hundred > 14) ? "few" : "many";
  }

  // The server's clock ----------------------------------------------------------------------------------------------

  var clock = {
    base: null, rate: 1, offsetS: 0,
    now: function () {
      return this.base ? this.base.server + (elapsed() - this.base.at) * this.rate : 0;
    },
    /** A sample that is late shows an earlier time: the latest is the one with the least delay. */
    take: function (serverMs) {
      var at = elapsed(), ahead = serverMs - this.now();
      if (!this.base || ahead > 0 || ahead < -5000 * this.rate || at - this.base.at > CLOCK_KEPT_MS) {
        this.base = { server: serverMs, at: at };
      }
    },
    parts: function (ms) {
      var local = new Date(ms + this.offsetS * 1000);
      return { day: local.toISOString().slice(0, 10), hour: local.getUTCHours(), minute: local.getUTCMinutes() };
    },
    time: function (ms) {
      var parts = this.parts(ms);
      return (parts.hour < 10 ? "0" : "") + parts.hour + ":" + (parts.minute < 10 ? "0" : "") + parts.minute;
    },
    day: function (ms) {
      var day = this.parts(ms).day;
      if (day === this.parts(this.now()).day) return "";
      if (day === this.parts(this.now() + 86400000).day) return say("tomorrow");
      return day.slice(8, 10) + "." + day.slice(5, 7);
    },
  };

  // The model -------------------------------------------------------------------------------------------------------

  var board = { known: false, unknown: false, name: null, code: "", lines: new Map(), asOfMs: null };

  function takeBoard(stop, lines) {
    board.known = true;
    board.unknown = false;
    board.name = stop.name;
    board.code = stop.code;
    board.lines.clear();
    takeLines(lines);
  }

  function takeLines(lines) {
    lines.forEach(function (line) { board.lines.set(line.key, line); });
  }

  // The feed --------------------------------------------------------------------------------------------------------

  var feed = {
    socket: null, session: "", sequence: 0, heardAt: -1e9, asOfAt: -1e9, failures: 0, pauseMs: PAUSE_FIRST_MS,
    heartbeatS: 10, staleS: 60, dropS: 90, etag: "", timer: 0, ackAt: 0, ackTimer: 0, polling: 0,
  };

  function address(path) {
    return (location.protocol === "https:" ? "wss://" : "ws://") + location.host + path;
  }

  function connect() {
    clearTimeout(feed.timer);
    var socket;
    try {
      socket = new WebSocket(address("/board/ws"));
    } catch (error) {
      return again();
    }
    feed.socket = socket;
    socket.onopen = function () {
      var message = { type: "subscribe", stops: [stopId], board: asked.board || "" };
      if (feed.session && board.known) message.resume = { session: feed.session, sequence: feed.sequence };
      socket.send(JSON.stringify(message));
    };
    socket.onmessage = function (event) {
      if (feed.socket !== socket) return;
      take(JSON.parse(event.data));
    };
    socket.onclose = function () {
      if (feed.socket === socket) again();
    };
    feed.openedAt = elapsed();
  }

  function again() {
    feed.socket = null;
    feed.failures += 1;
    clearTimeout(feed.timer);
    feed.timer = setTimeout(connect, feed.pauseMs * (0.5 + Math.random() / 2));
    feed.pauseMs = Math.min(feed.pauseMs * 2, PAUSE_MAX_MS);
    if (feed.failures >= POLL_AFTER_FAILURES) poll();
  }

  function heard(message) {
    feed.heardAt = elapsed();
    clock.take(message.server_ms);
    if (message.utc_offset_s !== undefined) clock.offsetS = message.utc_offset_s;
    if (message.as_of_ms) {
      if (message.as_of_ms !== board.asOfMs) feed.asOfAt = elapsed();
      board.asOfMs = message.as_of_ms;
    }
  }

  function take(message) {
    if (message.type === "problem") {
      if (message.code === "unknown_stop" && !board.known) {
        board.unknown = true;
        render();
      }
      return;
    }
    feed.failures = 0;
    feed.pauseMs = PAUSE_FIRST_MS;
    if (message.type === "hello") {
      clock.rate = message.rate;
      if (!message.resumed) clock.base = null;
      feed.session = message.session;
      feed.heartbeatS = message.heartbeat_s;
      feed.staleS = message.stale_after_s;
      feed.dropS = message.drop_after_s;
    }
    heard(message);
    if (message.type === "snapshot") {
      takeBoard(message.board, message.board.lines);
      feed.sequence = message.sequence;
    } else if (message.type === "change") {
      takeLines(message.lines);
      feed.sequence = message.sequence;
    }
    render();
    if (message.type === "snapshot" || message.type === "change") acknowledge();
  }

  /** Say what is on the screen, two frames after it was drawn; the latest number stands for all before. */
  function acknowledge() {
    if (feed.ackTimer) return;
    var wait = Math.max(0, feed.ackAt + ACK_EVERY_MS - elapsed());
    feed.ackTimer = setTimeout(function () {
      requestAnimationFrame(function () {
        requestAnimationFrame(function () {
          feed.ackTimer = 0;
          feed.ackAt = elapsed();
          if (feed.socket && feed.socket.readyState === 1) {
            feed.socket.send(JSON.stringify({ type: "ack", sequence: feed.sequence, painted_ms: Math.round(clock.now()) }));
          }
        });
      });
    }, wait);
  }

  /** Ask by HTTP while WebSockets do not get through (old proxies). */
  function poll() {
    if (feed.polling || (feed.socket && feed.socket.readyState === 1)) return;
    var request = new XMLHttpRequest();
    feed.polling = 1;
    request.open("GET", "/api/stops/" + encodeURIComponent(stopId) + "/board");
    request.timeout = POLL_EVERY_MS;
    if (feed.etag) request.setRequestHeader("If-None-Match", feed.etag);
    request.onloadend = function () {
      if (request.status === 200) {
        var answer = JSON.parse(request.responseText);
        feed.etag = request.getResponseHeader("ETag") || "";
        feed.session = ""; // numbers of an earlier session do not fit what was polled
        clock.rate = answer.rate;
        heard(answer);
        takeBoard(answer.board, answer.board.lines);
      } else if (request.status === 304) {
        heard({ server_ms: Number(request.getResponseHeader("X-Server-Ms")) || clock.now() });
      } else if (request.status === 404 && !board.known) {
        board.unknown = true;
      }
      render();
      setTimeout(function () {
        feed.polling = 0;
        if (feed.failures >= POLL_AFTER_FAILURES) poll();
      }, POLL_EVERY_MS);
    };
    request.send();
  }

  /** A socket that says nothing for two and a half heartbeats is dead, whatever it says of itself. */
  function watch() {
    var socket = feed.socket;
    if (!socket) return;
    var since = Math.max(feed.heardAt, feed.openedAt);
    if (elapsed() - since > feed.heartbeatS * 2500) {
      socket.onclose = null;
      socket.close();
      again();
    }
  }

  function silentS() { return (elapsed() - feed.heardAt) / 1000; }

  // The view --------------------------------------------------------------------------------------------------------

  var rows = new Map();
  var page = 0;
  var lastSpoken = -1e9;

  function makeRow() {
    var row = { root: document.createElement("li") };
    row.root.className = "row";
    row.badge = add(row.root, "span", "badge");
    var to = add(row.root, "div", "to");
    row.destination = add(to, "span", "destination");
    row.note = add(to, "span", "note");
    var when = add(row.root, "div", "when");
    var figure = add(when, "span", "figure");
    row.figure = add(figure, "span", "");
    row.unit = add(figure, "small", "");
    var kind = add(when, "span", "kind");
    row.mark = add(kind, "i", "mark");
    row.kind = add(kind, "span", "");
    return row;
  }

  function add(parent, tag, name) {
    var child = document.createElement(tag);
    if (name) child.className = name;
    parent.appendChild(child);
    return child;
  }

  /** Return the arrivals that may be shown now: none that are over, none that are live when nobody is heard. */
  function arrivalsOf(line, now) {
    var mute = silentS() > feed.dropS;
    return (line.arrivals || []).filter(function (arrival) {
      if (mute && arrival.vehicle) return false;
      return arrival.arrival_ms - now > (arrival.vehicle ? -30000 : 0);
    });
  }

  function isLive(arrival) { return arrival.state === "live" || arrival.state === "live_terminal"; }
  function isUnsure(arrival) { return arrival.p90_ms && arrival.p90_ms - arrival.p10_ms > UNSURE_MS; }

  /** Return what a line says: figure, unit, kind, note. */
  function told(line, now) {
    var arrivals = arrivalsOf(line, now);
    var first = arrivals[0];
    if (!first) return toldWithoutTimes(line);
    var leftMs = first.arrival_ms - now;
    var live = isLive(first);
    var said = { state: live ? "live" : "timetable", mark: live ? "live" : "timetable", unit: "", note: [], words: false };
    if (first.state === "cancelled") {
      said.state = "cancelled";
      said.mark = "none";
      said.figure = clock.time(first.arrival_ms);
      said.kind = say("cancelled");
    } else if (!live || leftMs > AS_CLOCK_MS) {
      said.figure = clock.time(first.arrival_ms);
      said.kind = say(live ? "live" : "timetable");
    } else if (leftMs <= NOW_MS) {
      said.figure = say("now");
      said.due = true;
      said.kind = say("live");
    } else {
      said.figure = (isUnsure(first) || first.state === "live_terminal" ? "~" : "") + Math.max(1, Math.floor(leftMs / 60000));
      said.unit = say("unit");
      said.kind = say("live");
    }
    if (live && first.state === "live_terminal") said.note.push(say("terminal"));
    else if (live && first.stops_away === 0) said.note.push(say("at_stop"));
    else if (live && first.stops_away) said.note.push(say("stops." + form(first.stops_away), { n: first.stops_away }));
    var following = followingOf(arrivals.slice(1), now);
    if (following) said.note.push(following);
    else if (line.headway_s && arrivals.length < 2) said.note.push(headwayOf(line));
    return said;
  }

  function followingOf(arrivals, now) {
    if (!arrivals.length) return "";
    var soon = arrivals.filter(function (one) { return isLive(one) && one.arrival_ms - now < AS_CLOCK_MS; });
    if (soon.length === arrivals.length) {
      var list = soon.map(function (one) { return Math.max(1, Math.floor((one.arrival_ms - now) / 60000)); });
      return say("then", { list: list.join(", ") });
    }
    return say("then_at", { time: arrivals.map(function (one) { return clock.time(one.arrival_ms); }).join(", ") });
  }

  function headwayOf(line) {
    var from = Math.max(1, Math.round(line.headway_s[0] / 60)), to = Math.max(1, Math.round(line.headway_s[1] / 60));
    return from === to ? say("headway_one", { n: from }) : say("headway", { from: from, to: to });
  }

  function toldWithoutTimes(line) {
    var state = line.arrivals && line.arrivals.length ? (line.headway_s ? "headway" : "no_data") : line.state;
    var said = { state: state, mark: "none", unit: "", kind: "", note: [], words: true, quiet: true, figure: say("no_data") };
    if (state === "headway" && line.headway_s) {
      said.figure = headwayOf(line);
      said.quiet = false;
    } else if (state === "before_first_trip" && line.first_ms) {
      said.figure = say("first", { time: clock.time(line.first_ms) });
    } else if (state === "service_ended" || state === "no_service") {
      said.figure = say(state === "no_service" ? "no_service" : "ended");
      if (line.first_ms) said.note.push(say("next_time", { day: clock.day(line.first_ms), time: clock.time(line.first_ms) }));
    }
    return said;
  }

  function luminance(hex) {
    var value = [0, 2, 4].map(function (at) {
      var part = parseInt(hex.substr(at, 2), 16) / 255;
      return part <= 0.03928 ? part / 12.92 : Math.pow((part + 0.055) / 1.055, 2.4);
    });
    return 0.2126 * value[0] + 0.7152 * value[1] + 0.0722 * value[2];
  }

  function contrast(one, other) {
    var a = luminance(one), b = luminance(other);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }

  /** The feed's text colour where it can be read, else black or white, whichever can be read better. */
  function inkOn(colour, wanted) {
    if (wanted && contrast(colour, wanted) >= 4.5) return wanted;
    return contrast(colour, "ffffff") >= contrast(colour, "000000") ? "ffffff" : "000000";
  }

  function paint(row, line, now) {
    var said = told(line, now);
    mark(row.root, "data-state", said.state);
    mark(row.root, "data-words", said.words ? "yes" : "no");
    mark(row.root, "data-quiet", said.quiet ? "yes" : "no");
    mark(row.root, "data-due", said.due ? "yes" : "no");
    write(row.badge, line.route);
    if (line.colour && row.colour !== line.colour) {
      row.colour = line.colour;
      row.badge.style.backgroundColor = "#" + line.colour;
      row.badge.style.color = "#" + inkOn(line.colour, line.text_colour || "");
    }
    write(row.destination, named(line.destination));
    write(row.note, said.note.join(" · "));
    write(row.figure, said.figure);
    write(row.unit, said.unit);
    mark(row.mark, "data-kind", said.mark);
    write(row.kind, said.kind);
    return said;
  }

  function inOrder(now) {
    var lines = Array.from(board.lines.values());
    function rank(line) {
      var first = arrivalsOf(line, now)[0];
      if (first) return first.arrival_ms;
      return line.state === "headway" ? 9e15 : 9.001e15;
    }
    function number(line) { return parseInt(line.route.replace(/\D/g, ""), 10) || 1e9; }
    return lines.sort(function (a, b) {
      return rank(a) - rank(b) || number(a) - number(b) || (a.key < b.key ? -1 : 1);
    });
  }

  function render() {
    if (!texts) return;
    var now = clock.now();
    document.body.setAttribute("data-feed", feedState());
    showBanner();
    write(element("name"), board.unknown ? say("unknown", { stop: stopId }) : board.name ? named(board.name) : say("loading"));
    write(element("code"), board.code);
    document.title = board.name ? say("title", { stop: named(board.name) }) : "Ayaldama";
    write(element("clock"), clock.base ? clock.time(now) : "");
    write(element("empty"), board.unknown ? say("unknown_help") : board.known && !board.lines.size ? say("no_lines") : "");
    var lines = inOrder(now), list = element("rows"), at = list.firstChild;
    lines.forEach(function (line) {
      var row = rows.get(line.key);
      if (!row) rows.set(line.key, (row = makeRow()));
      paint(row, line, now);
      if (row.root === at) at = at.nextSibling;
      else list.insertBefore(row.root, at);
    });
    rows.forEach(function (row, key) {
      if (board.lines.has(key)) return;
      list.removeChild(row.root);
      rows.delete(key);
    });
    if (panel) showPage(lines.length);
    speak(lines, now);
  }

  function feedState() {
    var silent = silentS();
    return silent > feed.dropS ? "lost" : silent > feed.staleS ? "stale" : "live";
  }

  function showBanner() {
    var state = feedState(), text = "";
    var unheard = board.known && (elapsed() - feed.asOfAt) / 1000 > feed.dropS / Math.max(1, clock.rate) + 5;
    if (!board.known) text = "";
    else if (state === "stale") text = say("stale", { time: clock.time(clock.now() - silentS() * 1000 * clock.rate) });
    else if (state === "lost") text = say("lost");
    else if (unheard) text = say("silent");
    var banner = element("banner");
    if (banner.hidden === Boolean(text)) banner.hidden = !text;
    write(banner, text);
  }

  /** A panel has no scrollbar: it turns pages. */
  function showPage(count) {
    var main = document.querySelector("main"), sample = element("rows").firstChild;
    var fitting = sample ? Math.max(1, Math.floor(main.clientHeight / 11.6 / unit)) : count;
    var pages = Math.max(1, Math.ceil(count / fitting));
    var shown = page % pages;
    Array.prototype.forEach.call(element("rows").children, function (child, i) {
      var hidden = Math.floor(i / fitting) !== shown;
      if (child.hidden !== hidden) child.hidden = hidden;
    });
  }

  /** For screen readers: the first three, once a minute. */
  function speak(lines, now) {
    if (panel || elapsed() - lastSpoken < SPEAK_EVERY_MS || !lines.length) return;
    lastSpoken = elapsed();
    write(element("spoken"), lines.slice(0, 3).map(function (line) {
      var said = told(line, now);
      var when = said.unit ? say("spoken_minutes", { n: said.figure.replace("~", "") }) : said.figure;
      return say("spoken", { route: line.route, destination: named(line.destination), when: when });
    }).join(" "));
  }

  // Language, look, size --------------------------------------------------------------------------------------------

  var unit = 10;

  function fit() {
    if (!panel) return;
    var wide = window.innerWidth >= window.innerHeight;
    unit = wide ? Math.min(window.innerHeight / 100, window.innerWidth / 150) : Math.min(window.innerWidth / 76, window.innerHeight / 120);
    document.documentElement.style.setProperty("--u", unit + "px");
  }

  function choose(wanted) {
    language = wanted;
    document.documentElement.lang = language;
    Array.prototype.forEach.call(document.querySelectorAll("[data-text]"), function (node) {
      write(node, say(node.getAttribute("data-text")));
    });
    element("languages").setAttribute("aria-label", say("language"));
    Array.prototype.forEach.call(element("languages").children, function (button) {
      button.setAttribute("aria-pressed", String(button.lang === language));
    });
    look(document.documentElement.getAttribute("data-theme"));
    render();
  }

  function look(theme) {
    document.documentElement.setAttribute("data-theme", theme);
    write(element("theme"), say(theme === "dark" ? "theme_light" : "theme_dark"));
  }

  function firstLook() {
    if (asked.theme === "light" || asked.theme === "dark") return asked.theme;
    if (panel) return "dark";
    return kept("theme") || (window.matchMedia && matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  }

  function makeControls() {
    LANGUAGES.forEach(function (one) {
      var button = add(element("languages"), "button", "");
      button.type = "button";
      button.lang = one;
      button.textContent = one;
      button.onclick = function () {
        rotating = false;
        kept("language", one);
        choose(one);
      };
    });
    element("theme").onclick = function () {
      var theme = document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark";
      kept("theme", theme);
      look(theme);
    };
  }

  /** Panels run for months: load the page anew at night, but only when it can be had. */
  function renewAtNight() {
    if (!panel || elapsed() < UP_BEFORE_RELOAD_MS || feedState() !== "live" || clock.parts(clock.now()).hour !== RELOAD_HOUR) return;
    var request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.timeout = 10000;
    request.onload = function () { if (request.status === 200) location.reload(); };
    request.send();
  }

  function loadTexts() {
    var request = new XMLHttpRequest();
    request.open("GET", "/static/board/texts.json");
    request.timeout = 10000;
    request.onloadend = function () {
      if (request.status !== 200) return setTimeout(loadTexts, 1000);
      texts = JSON.parse(request.responseText);
      makeControls();
      choose(language);
      connect();
    };
    request.send();
  }

  document.body.setAttribute("data-mode", panel ? "panel" : "page");
  document.documentElement.setAttribute("data-theme", firstLook());
  fit();
  window.addEventListener("resize", fit);
  loadTexts();
  setInterval(render, 500);
  setInterval(watch, 1000);
  setInterval(function () { page += 1; }, PAGE_MS);
  setInterval(renewAtNight, 10 * 60000);
  if (rotating) setInterval(function () {
    if (rotating && texts) choose(LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length]);
  }, ROTATE_MS);
})();
