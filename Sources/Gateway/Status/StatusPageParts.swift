/// What the status page is made of.
enum StatusPageParts {
  static let style = #"""
    :root {
      color-scheme: light dark;
      --ground: #fbfaf8; --panel: #fff; --ink: #1d2126; --dim: #5c6570; --line: #d9dce1;
      --good: #1a7f4b; --warn: #9a5b00; --bad: #b3261e; --accent: #2557a7; --soft: #e8eef8;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --ground: #14171b; --panel: #1c2126; --ink: #e6e8eb; --dim: #a0a9b4; --line: #343b43;
        --good: #5fd095; --warn: #f0b35a; --bad: #ff8a80; --accent: #8ab4f8; --soft: #22303f;
      }
    }
    * { box-sizing: border-box; }
    body {
      margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--ground);
      color: var(--ink); font: 15px/1.45 system-ui, sans-serif;
    }
    header { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: baseline; }
    h1 { font-size: 1.4rem; margin: 0; }
    h2 { font-size: 1rem; margin: 0 0 .5rem; }
    .dim, .none { color: var(--dim); }
    .badge { padding: .1rem .6rem; border-radius: 1rem; border: 1px solid; font-weight: 600; }
    .good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
    button {
      margin-left: auto; font: inherit; color: inherit; background: var(--panel);
      border: 1px solid var(--line); border-radius: .4rem; padding: .2rem .8rem; cursor: pointer;
    }
    button[aria-pressed=true] { background: var(--soft); border-color: var(--accent); }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
    #missing:empty { display: none; }
    #missing { border-left: 4px solid var(--bad); padding: .3rem .8rem; margin: .8rem 0 0; }
    #missing.soft { border-color: var(--warn); }
    .figures {
      display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem;
      margin: 1rem 0; padding: 0;
    }
    .figures div, section {
      background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
      padding: .6rem .8rem;
    }
    .figures dt { color: var(--dim); font-size: .85rem; }
    .figures dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
    .columns {
      display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: .8rem;
    }
    section { min-width: 0; margin-bottom: .8rem; }
    figure { margin: 0; }
    figcaption { color: var(--dim); font-size: .85rem; }
    svg { width: 100%; height: 8.5rem; display: block; }
    svg text { fill: var(--dim); font-size: 11px; }
    .axis { stroke: var(--line); fill: none; }
    .area { fill: var(--soft); stroke: var(--accent); stroke-width: 1.5; }
    .refused { fill: none; stroke: var(--warn); stroke-width: 1.5; }
    .failed { fill: none; stroke: var(--bad); stroke-width: 1.5; }
    .median { fill: none; stroke: var(--accent); stroke-width: 1.5; }
    .tail { fill: none; stroke: var(--warn); stroke-width: 1.5; stroke-dasharray: 4 3; }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
    th, td {
      text-align: left; padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--line);
    }
    th { color: var(--dim); font-weight: 500; border-top: 0; white-space: nowrap; }
    td { white-space: nowrap; }
    td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
    .number { text-align: right; white-space: nowrap; }
    /* A narrow screen is scrolled sideways, row by row. */
    @media (max-width: 40rem) { td.long { white-space: nowrap; } }
    """#

  static let body = #"""
    <header>
      <h1>Tollgate</h1> <span id="version" class="dim"></span>
      <span id="state" class="badge">…</span>
      <span id="running" class="dim"></span> <span id="stale" class="bad" role="status"></span>
      <button id="pause" type="button" aria-pressed="false">Pause</button>
    </header>
    <div id="missing" role="alert"></div>
    <main>
    <dl id="figures" class="figures"></dl>
    <div class="columns">
      <section><figure>
        <h2>Requests a second</h2>
        <svg id="traffic" role="img"
          aria-label="Requests a second over the last ten minutes"></svg>
        <figcaption>filled: all; <span class="warn">refused</span>;
          <span class="bad">answered with 5xx</span></figcaption>
      </figure></section>
      <section><figure>
        <h2>Latency</h2>
        <svg id="latency" role="img"
          aria-label="Latency over the last ten minutes"></svg>
        <figcaption>half of all within the line; <span class="warn">99 % within the dashes</span>;
          tunnels left out, long streams by when they began</figcaption>
      </figure></section>
    </div>
    <section><h2>Routes</h2><div id="routes" class="scroll" tabindex="0" role="region"
      aria-label="Routes"></div></section>
    <div class="columns">
      <section><h2>Refusals by reason</h2><div id="reasons" class="scroll" tabindex="0"
      role="region" aria-label="Refusals by reason"></div></section>
      <section><h2>Issuers’ keys</h2><div id="issuers" class="scroll" tabindex="0"
      role="region" aria-label="Issuers’ keys"></div></section>
    </div>
    <section><h2>Token exchange</h2><div id="exchanges" class="scroll" tabindex="0" role="region"
      aria-label="Token exchange"></div></section>
    <section><h2>Upstreams</h2><div id="upstreams" class="scroll" tabindex="0" role="region"
      aria-label="Upstreams"></div></section>
    <section><h2>Certificates</h2><div id="certificates" class="scroll" tabindex="0"
      role="region" aria-label="Certificates"></div></section>
    <section><h2>The last refusals</h2><div id="refusals" class="scroll" tabindex="0" role="region"
      aria-label="The last refusals"></div></section>
    </main>
    """#

  static let script = #"""
    "use strict";
    const $ = (id) => document.getElementById(id);
    const number = (n) => n.toLocaleString("en");
    const share = (part, whole) => whole ? (100 * part / whole).toFixed(1) + " %" : "–";
    const ms = (n) => n == null ? "–" : n < 1000 ? +n.toPrecision(3) + " ms" : n / 1000 + " s";
    const span = (s) => {
      if (s == null) return "–";
      if (s < 120) return Math.round(s) + " s";
      if (s < 7200) return Math.round(s / 60) + " min";
      return s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " d";
    };
    const bytes = (n) =>
      n < 1 << 20 ? (n / 1024).toFixed(0) + " KiB" : (n / 1048576).toFixed(1) + " MiB";

    function node(name, attributes, ...children) {
      const made = document.createElement(name);
      for (const key in attributes) made.setAttribute(key, attributes[key]);
      made.append(...children);
      return made;
    }

    /* Rows of cells; a cell is text, or [text, class]. Everything goes in as text. A head begins
       with # where its column is numbers, and with ~ where its texts may break. */
    function table(id, heads, rows, empty) {
      const place = $(id);
      if (!rows.length) return place.replaceChildren(node("p", { class: "none" }, empty));
      const kinds = { "#": "number ", "~": "long " };
      const cell = (kind, value, index) => {
        const [text, style] = Array.isArray(value) ? value : [value, ""];
        const classes = (kinds[heads[index][0]] || "") + (style || "");
        return node(kind, kind === "th" ? { class: classes, scope: "col" } : { class: classes },
          String(text));
      };
      const head = node("tr", {}, ...heads.map((h, i) => cell("th", h.replace(/^[#~]/, ""), i)));
      const body = rows.map((row) => node("tr", {}, ...row.map((v, i) => cell("td", v, i))));
      place.replaceChildren(
        node("table", {}, node("thead", {}, head), node("tbody", {}, ...body)));
    }

    /* What is read aloud is not written again while it stays the same. */
    function say(place, notes) {
      if ([...place.children].map((e) => e.textContent).join() === notes.join()) return;
      place.replaceChildren(...notes.map((n) => node("div", {}, n)));
    }

    function quantile(buckets, bounds, part) {
      const total = buckets.reduce((a, b) => a + b, 0);
      let seen = 0;
      for (let i = 0; i < bounds.length; i++) {
        seen += buckets[i];
        if (total && seen >= part * total) return "≤ " + ms(bounds[i]);
      }
      return total ? "> " + ms(bounds[bounds.length - 1]) : "–";
    }

    const LEFT = 44, BOTTOM = 20;
    function plot(id, samples, lines, unit) {
      const svg = $(id);
      /* Drawn in the size that it has, so that its texts are as wide as they are. */
      const WIDTH = Math.max(200, svg.clientWidth), HEIGHT = Math.max(80, svg.clientHeight);
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
      const values = lines.flatMap((line) => samples.map(line.value)).filter((v) => v != null);
      const max = Math.max(1e-9, ...values);
      const first = samples[0][0], last = samples[samples.length - 1][0];
      const wide = Math.max(1, last - first);
      const x = (t) => LEFT + (WIDTH - LEFT - 4) * (t - first) / wide;
      const y = (v) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 12) * v / max;
      const shape = (name, attributes, text) => {
        const made = document.createElementNS("http://www.w3.org/2000/svg", name);
        for (const key in attributes) made.setAttribute(key, attributes[key]);
        if (text) made.textContent = text;
        return made;
      };
      const shapes = [0, max / 2, max].flatMap((v) => [
        shape("line", { class: "axis", x1: LEFT, x2: WIDTH - 4, y1: y(v), y2: y(v) }),
        shape("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, unit(v)),
      ]);
      /* As in the log, and in every browser alike. */
      const clock = (t) => new Date(t).toISOString().slice(11, 16) + " UTC";
      shapes.push(shape("text", { x: LEFT, y: HEIGHT - 4 }, clock(first)));
      const end = { x: WIDTH - 4, y: HEIGHT - 4, "text-anchor": "end" };
      shapes.push(shape("text", end, clock(last)));
      for (const line of lines) {
        const points = samples.filter((s) => line.value(s) != null)
          .map((s) => x(s[0]).toFixed(1) + "," + y(line.value(s)).toFixed(1));
        if (!points.length) continue;
        let path = "M" + points.join("L");
        if (line.style === "area") {
          path += "L" + points[points.length - 1].split(",")[0] + "," + y(0);
          path += "L" + points[0].split(",")[0] + "," + y(0) + "Z";
        }
        shapes.push(shape("path", { class: line.style, d: path }));
      }
      svg.replaceChildren(...shapes);
    }

    function show(s) {
      $("version").textContent = s.version;
      const state = $("state");
      state.textContent = s.ready ? "ready" : "not ready";
      state.className = "badge " + (s.ready ? "good" : "bad");
      const notes = [...s.missing];
      if (!s.configuration.lastReloadSuccessful) {
        notes.push("The routes file was refused when it was last read: what ran before goes on. "
          + "tollgate check says why.");
      }
      const lost = s.process.droppedLogLines;
      if (lost) notes.push(number(lost) + " lines of the access log could not be written.");
      $("missing").className = s.missing.length ? "" : "soft";
      say($("missing"), notes);
      const uptime = s.process.startedAt
        ? ", up " + span((Date.parse(s.now) - Date.parse(s.process.startedAt)) / 1000) : "";
      $("running").textContent = "configuration " + s.configuration.digest + ", "
        + number(s.configuration.routes) + " routes" + uptime;
      const history = s.traffic.history, latest = history[history.length - 1];
      const every = s.traffic.everySeconds;
      const outcomes = {};
      for (const e of s.exchanges) {
        for (const k in e.outcomes) outcomes[k] = (outcomes[k] || 0) + e.outcomes[k];
      }
      const asked = Object.values(outcomes).reduce((a, b) => a + b, 0);
      const kept = (outcomes.hit || 0) + (outcomes.refreshed || 0);
      const survival = s.exchanges.map((e) => e.survivalSeconds).filter((v) => v != null);
      const figures = [
        ["Requests a second", latest ? (latest[1] / every).toFixed(1) : "–"],
        ["Refused", latest ? share(latest[2], latest[1]) : "–"],
        ["Failed (5xx)", latest ? share(latest[3], latest[1]) : "–"],
        ["Half within", latest && latest[4] ? "≤ " + ms(latest[4]) : "–"],
        ["99 % within", latest && latest[5] ? "≤ " + ms(latest[5]) : "–"],
        ["Tokens from the cache", share(kept, asked)],
        ["Lasts without token service", survival.length ? span(Math.min(...survival)) : "–"],
        ["Connections", number(s.process.connections)],
      ];
      $("figures").replaceChildren(...figures.map(([name, value]) =>
        node("div", {}, node("dt", {}, name), node("dd", {}, value))));
      if (history.length) {
        plot("traffic", history, [
          { style: "area", value: (h) => h[1] / every },
          { style: "refused", value: (h) => h[2] / every },
          { style: "failed", value: (h) => h[3] / every },
        ], (v) => v >= 10 ? Math.round(v) : v.toFixed(1));
        plot("latency", history, [
          { style: "median", value: (h) => h[4] },
          { style: "tail", value: (h) => h[5] },
        ], (v) => ms(v));
      }
      table("reasons", ["Reason", "#Requests", "#Of all"], s.reasons.map((r) =>
        [r.reason, number(r.count), share(r.count, s.traffic.requests)]), "None was refused.");
      table("routes", ["Route", "#Requests", "#Refused", "#5xx", "#Half within", "#99 % within"],
        s.routes.map((r) => [
          r.name || "(none)", number(r.requests), number(r.refused),
          [number(r.failed), r.failed ? "bad" : ""],
          quantile(r.buckets, s.boundsMs, .5), quantile(r.buckets, s.boundsMs, .99),
        ]), "No request yet.");
      table("exchanges",
        ["Exchange", "#Cached", "#Exchanged", "#Joined", "#Refused", "#Failed", "#Half within",
          "#Tokens kept", "#Survives", "State"],
        s.exchanges.map((e) => [
          e.name, number(e.outcomes.hit + e.outcomes.refreshed), number(e.calls),
          number(e.outcomes.joined), number(e.outcomes.denied),
          [number(e.outcomes.failed), e.outcomes.failed ? "bad" : ""], ms(e.callMedianMs),
          number(e.tokens) + " (" + bytes(e.bytes) + ")", span(e.survivalSeconds),
          e.breakerOpen ? ["breaker open", "bad"] : ["well", "good"],
        ]), "No exchange is configured.");
      table("issuers", ["Issuer", "#Keys", "#Fetched", "State"], s.issuers.map((i) => [
        i.name, i.keys, i.keysAgeSeconds == null ? "never" : span(i.keysAgeSeconds) + " ago",
        i.ready ? ["well", "good"] : [i.state, "bad"],
      ]), "No issuer is configured.");
      table("upstreams", ["Upstream", "Server", "State", "#Requests", "#Failures", "#Connections"],
        s.upstreams.flatMap((u) => u.servers.map((v) => [
          u.name, v.name, [v.state || "–", v.state && v.state !== "healthy" ? "bad" : "good"],
          v.requests == null ? "–" : number(v.requests),
          v.failures == null ? "–" : number(v.failures),
          v.connections == null ? "–" : number(v.connections),
        ])), "No upstream is configured.");
      table("certificates", ["Listener", "~Names", "#Days left"], s.certificates.map((c) => [
        c.listener, c.names.join(", "),
        [c.daysLeft, c.daysLeft < 14 ? "bad" : c.daysLeft < 30 ? "warn" : "good"],
      ]), "No listener has a certificate.");
      table("refusals", ["Time (UTC)", "#Status", "Reason", "~Request", "Route", "Caller"],
        s.refusals.map((r) => [
          r.time.slice(11, 23), [r.status, r.status >= 500 ? "bad" : "warn"],
          r.reason + (r.exchangeError ? " (" + r.exchangeError + ")" : ""),
          r.method + " " + r.host + r.path, r.route || "–", r.client,
        ]), "None.");
    }

    let paused = false, answered = Date.now();
    async function look() {
      if (!paused && !document.hidden) {
        try {
          const answer = await fetch("/status", { headers: { Accept: "application/json" } });
          show(await answer.json());
          answered = Date.now();
          $("stale").textContent = paused ? "paused" : "";
        } catch {
          $("stale").textContent = "no answer for " + span((Date.now() - answered) / 1000);
        }
      }
      setTimeout(look, 2000);
    }
    $("pause").addEventListener("click", () => {
      paused = !paused;
      $("pause").setAttribute("aria-pressed", paused);
      $("stale").textContent = paused ? "paused" : "";
    });
    look();
    """#
}
