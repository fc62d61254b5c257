// The dashboard's charts, and the one request that keeps it fresh. Without this file the page shows the same numbers in tables.
"use strict";

(() => {
  const REFRESH_MS = 5000;
  const LONGEST_MS = 60000; // between two requests that failed
  const SHARE = 20; // a server that took long is left alone for so many times as long

  const page = document.getElementById("dashboard");
  const state = document.getElementById("live-state");
  const drawn = new Map(); // name of a chart → Chart
  const coloured = new Map(); // model → number of its colour: it keeps it while the page is open, whatever its rank becomes
  let values = read(document.getElementById("dashboard-charts"));
  let scatterBy = "model";

  function read(element) {
    return element ? JSON.parse(element.textContent) : null;
  }

  // ── colours ────────────────────────────────────────────────────────────────────────────────────────────────────────
  const COLOURS = 6;
  const OUTCOMES = { ok: "--series-3", error: "--series-2", partial: "--series-6", blocked: "--series-4", cancelled: "--faint" };

  function css(name) {
    return getComputedStyle(document.body).getPropertyValue(name).trim();
  }

  function colourOf(model) {
    if (!coloured.has(model)) {
      const taken = new Set(values.series.filter((name) => coloured.has(name)).map((name) => coloured.get(name)));
      const free = [...Array(COLOURS).keys()].find((number) => !taken.has(number));
      coloured.set(model, free === undefined ? coloured.size % COLOURS : free);
    }
    return css(`--series-${coloured.get(model) + 1}`);
  }

  // ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────
  function time(ms) {
    return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  }

  function shortTime(ms) {
    const length = values.to_ms - values.from_ms;
    return length > 3 * 86400000 ? time(ms).slice(5, 10) : length > 3600000 ? time(ms).slice(5, 16) : time(ms).slice(11);
  }

  function duration(ms) {
    if (ms === null || ms === undefined) return "–";
    if (ms < 1000) return `${Math.round(ms)} ms`;
    return ms < 60000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`;
  }

  function money(usd) {
    if (usd === null || usd === undefined) return "–";
    return usd === 0 || usd >= 1 ? `$${usd.toFixed(2)}` : `$${Number(usd.toPrecision(3))}`;
  }

  function count(number) {
    return number === null || number === undefined ? "–" : number.toLocaleString("en-US", { maximumFractionDigits: 1 });
  }

  function short(name) {
    return name.length > 32 ? `${name.slice(0, 31)}…` : name;
  }

  // ── charts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  function axis(words, more) {
    return {
      grid: { color: css("--line") },
      ticks: { color: css("--faint"), maxRotation: 0, autoSkipPadding: 12, callback: words },
      beginAtZero: true,
      ...more,
    };
  }

  function labelled(text, autoSkip = true) {
    const made = axis((number) => short(text[number] ?? "")); // a category axis gives the number of its label
    made.ticks.autoSkip = autoSkip;
    return made;
  }

  function common(words, scales, more) {
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales,
      plugins: {
        legend: { labels: { color: css("--ink"), boxWidth: 12 } },
        tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${words(item.raw)}` } },
      },
      ...more,
    };
  }

  function stacked(rows, words) {
    const datasets = values.series.map((name, number) => ({ label: short(name), data: rows[number], backgroundColor: colourOf(name) }));
    const scales = { x: { ...labelled(values.labels), stacked: true }, y: axis(words, { stacked: true }) };
    return { type: "bar", data: { labels: values.labels, datasets }, options: common(words, scales) };
  }

  function lines() {
    const line = (label, data, colour) => ({ label, data, borderColor: css(colour), backgroundColor: css(colour), spanGaps: true, pointRadius: 2 });
    const datasets = [line("p50", values.ttft[0], "--series-1"), line("p95", values.ttft[1], "--series-2")];
    return { type: "line", data: { labels: values.labels, datasets }, options: common(duration, { x: labelled(values.labels), y: axis(duration, { suggestedMax: 100 }) }) };
  }

  function bars(sets, words) {
    const labels = values.speeds.models.map(short);
    const datasets = sets.map(([label, data, colour]) => ({ label, data, backgroundColor: css(colour) }));
    return { type: "bar", data: { labels, datasets }, options: common(words, { x: axis(words, { suggestedMax: 10 }), y: labelled(labels, false) }, { indexAxis: "y" }) };
  }

  function scatter() {
    const groups = new Map();
    for (const [x, y, series, outcome, id] of values.points) {
      const name = scatterBy === "model" ? values.series[series] : outcome ?? "–";
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push({ x, y: Math.max(y, 1), id, outcome, model: values.series[series] });
    }
    const colour = (name) => (scatterBy === "model" ? colourOf(name) : css(OUTCOMES[name] ?? "--series-5"));
    const datasets = [...groups].map(([name, data]) => ({ label: short(name), data, backgroundColor: colour(name), pointRadius: 3, pointHoverRadius: 6 }));
    const scales = {
      x: axis(shortTime, { type: "linear", beginAtZero: false, min: values.from_ms, max: values.to_ms }),
      y: axis(duration, { type: "logarithmic", beginAtZero: false }),
    };
    const options = common(duration, scales, { interaction: { mode: "nearest", intersect: true }, onClick: open, onHover: point });
    options.plugins.tooltip.callbacks.label = ({ raw }) => `${time(raw.x)} UTC · ${short(raw.model)} · ${raw.outcome ?? "–"} · ${duration(raw.y)}`;
    return { type: "scatter", data: { datasets }, options };
  }

  function open(event, found, chart) {
    if (!found.length) return;
    const { id } = chart.data.datasets[found[0].datasetIndex].data[found[0].index];
    const address = page.dataset.callUrl + encodeURIComponent(id);
    if (event.native.ctrlKey || event.native.metaKey) window.open(address);
    else window.location.assign(address);
  }

  function point(event, found) {
    event.native.target.style.cursor = found.length ? "pointer" : "default";
  }

  const CHARTS = {
    cost: () => stacked(values.cost, money),
    tokens: () => stacked(values.tokens, count),
    ttft: lines,
    "ttft-models": () =>
      bars([["TTFT p50", values.speeds.ttft_p50_ms, "--series-1"], ["TTFT p95", values.speeds.ttft_p95_ms, "--series-2"]], duration),
    speed: () => bars([["tokens/s (median)", values.speeds.tokens_per_s, "--series-3"]], count),
    scatter,
  };

  function draw(names = Object.keys(CHARTS)) {
    if (!values || typeof Chart === "undefined") return;
    page.classList.add("charted");
    for (const name of names) {
      const canvas = page.querySelector(`canvas[data-chart="${name}"]`);
      const chart = drawn.get(name);
      const { data, options, type } = CHARTS[name]();
      if (chart) {
        Object.assign(chart, { data, options });
        chart.update("none");
      } else {
        drawn.set(name, new Chart(canvas, { type, data, options }));
      }
    }
  }

  function chooseColours() {
    const choice = page.querySelector(".choice");
    if (!choice) return;
    choice.hidden = false;
    for (const button of choice.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        scatterBy = button.dataset.colour;
        for (const other of choice.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
        draw(["scatter"]);
      });
    }
  }

  // ── refreshing ─────────────────────────────────────────────────────────────────────────────────────────────────────
  let token = page.dataset.token;
  let failures = 0;
  let timer = 0;
  let asking = false;

  function replace(html) {
    // the server's own page, escaped there; a parsed document runs nothing
    const newer = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement;
    const address = focused instanceof HTMLAnchorElement ? focused.getAttribute("href") : null;
    for (const region of page.querySelectorAll("[data-region]")) {
      const fresh = newer.querySelector(`[data-region="${region.dataset.region}"]`);
      if (!fresh || fresh.innerHTML === region.innerHTML) continue;
      const had = address !== null && region.contains(focused);
      const opened = [...region.querySelectorAll("details[data-keep][open]")].map((details) => details.dataset.keep);
      const scrolled = [...region.querySelectorAll(".scroll")].map((element) => [element.scrollTop, element.scrollLeft]);
      region.replaceChildren(...fresh.childNodes);
      for (const name of opened) region.querySelector(`details[data-keep="${name}"]`)?.setAttribute("open", "");
      region.querySelectorAll(".scroll").forEach((element, number) => {
        [element.scrollTop, element.scrollLeft] = scrolled[number] ?? [0, 0];
      });
      if (had) [...region.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === address)?.focus({ preventScroll: true });
    }
  }

  async function refresh() {
    const query = new URLSearchParams(page.dataset.query);
    query.set("seen", token);
    const begun = performance.now();
    const response = await fetch(`${page.dataset.url}?${query}`, { headers: { accept: "application/json" } });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const answer = await response.json();
    if (!answer.unchanged) show(answer);
    state.textContent = `as of ${new Date().toISOString().slice(11, 19)} UTC`;
    return Math.max(REFRESH_MS, SHARE * (performance.now() - begun));
  }

  function show(answer) {
    if (page.dataset.empty === "1") {
      if (!answer.empty) window.location.reload();
      return;
    }
    token = answer.token;
    values = answer.charts;
    page.dataset.unfinished = answer.unfinished;
    replace(answer.html);
    draw();
  }

  async function look() {
    timer = 0;
    if (document.hidden) return; // visibilitychange goes on
    let wait = REFRESH_MS;
    asking = true;
    try {
      wait = await refresh();
      failures = 0;
    } catch (error) {
      failures += 1;
      wait = Math.min(REFRESH_MS * 2 ** failures, LONGEST_MS);
      state.textContent = `no answer (${error.message}); trying again in ${Math.round(wait / 1000)} s`;
    }
    asking = false;
    later(wait);
  }

  function later(wait) {
    const unfinished = Boolean(page.dataset.unfinished) && !failures;
    if (page.dataset.live !== "1" && !unfinished) return;
    clearTimeout(timer);
    timer = setTimeout(look, unfinished ? 0 : wait);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !timer && !asking) later(0);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  chooseColours();
  draw();
  later(REFRESH_MS);
})();
