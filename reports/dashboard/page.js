// Formats the numbers, draws the charts, and follows the filter. It computes nothing but positions.
// Whatever comes from the database is put in as text; no part of it is ever read as markup or as code.
"use strict";
(() => {
  const root = document.documentElement;
  const place = (id) => document.getElementById(id);

  function fail(problem) {
    const message = String((problem && problem.message) || problem);
    Object.assign(root.dataset, { state: "failed", error: message });
    place("failure").textContent = `This page could not be drawn: ${message}`;
    place("failure").hidden = false;
  }
  window.addEventListener("error", (event) => fail(event.error || event.message));
  window.addEventListener("unhandledrejection", (event) => fail(event.reason));

  const board = JSON.parse(place("board").textContent);
  const tables = { events: unpacked(board.events), cells: board.cells };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const filters = [["category", board.categories], ["model", board.models]];
  const views = new Map();
  let turns = 0;
  let queue = Promise.resolve();

  function make(tag, kind, ...children) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...children);
    return element;
  }

  function list(pairs) {
    return make("dl", "", ...pairs.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
  }

  // Numbers as text; what there is no number for is a dash.

  const writers = [0, 1, 2].map((digits) =>
    new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const number = (value, digits = 0, unit = "") => (value === null ? "–" : writers[digits].format(value) + unit);
  const share = (value, digits = 1) => number(value === null ? null : value * 100, digits, "%");
  const percent = (value) => number(value, 1, "%");
  const ratio = (value) => number(value, 2, "×");
  const nameOf = (value) => (value === null ? "(none)" : value || "(empty)");
  const kinds = {
    text: nameOf, percent, count: (value) => number(value), tokens: (value) => number(value, 0, " tokens"),
    time: (value) => `${new Date(value).toISOString().slice(0, 19).replace("T", " ")} UTC`,
  };

  // What is chosen: the fragment of the address alone, so that every view can be linked.

  function chosen() {
    const asked = new URLSearchParams(location.hash.slice(1));
    return filters.map(([name, names]) => {
      const value = asked.get(name);
      return { name, value, at: value === null ? -1 : names.indexOf(value) };
    });
  }

  function choose() {
    const set = filters.filter(([name]) => place(name).value);
    location.hash = new URLSearchParams(set.map(([name, names]) => [name, names[place(name).value]])).toString();
  }

  function showChoice(choice) {
    for (const { name, at } of choice) place(name).value = at < 0 ? "" : String(at);
    place("reset").disabled = choice.every(({ at }) => at < 0);
    const unknown = choice.filter(({ value, at }) => value !== null && at < 0).map(({ name, value }) =>
      `This page has no ${name} "${value}" to choose: every ${name} is shown.`);
    place("notes").replaceChildren(...[...unknown, ...board.notes].map((note) => make("p", "notice", note)));
  }

  const passes = (row, choice) => choice.every(({ name, value, at }) => at < 0 || row[name] === value);
  const reportOf = (choice) => board.reports[choice.map(({ at }) => (at < 0 ? "" : at)).join("/")];

  // The numbers

  function verdict({ passed, certain }) {
    if (passed === null) return make("p", "verdict none", "nothing to measure");
    const text = (passed ? "✓ pass" : "✕ FAIL") + (certain === false ? ", not certain" : "");
    return make("p", `verdict ${passed ? "pass" : "fail"}`, text);
  }

  function track(low, value, high, limit) {
    const end = Math.max(high, limit * 2) * 1.05;
    const spots = { interval: { from: low, to: high }, gate: { at: limit }, value: { at: value } };
    const bar = make("div", "track");
    for (const [kind, ends] of Object.entries(spots)) {
      const part = bar.appendChild(make("i", kind));
      for (const name of Object.keys(ends)) part.style.setProperty(`--${name}`, `${(100 * ends[name]) / end}%`);
    }
    return bar;
  }

  const card = (title, value, ...rest) =>
    make("div", "card", make("h3", "", title), make("p", "big", value), ...rest);

  function riskCard(name, overall, gate) {
    const [rate, low, high] = ["rate", "low", "high"].map((end) => overall[`${name}_${end}`]);
    const measured = rate === null ? [] : [track(low, rate, high, gate.limit)];
    return card(`Risk: ${name}`, share(rate), verdict(gate), ...measured, list([
      ["events", `${number(overall[name])} of ${number(overall.n)}`],
      ["95% interval", rate === null ? "–" : `${share(low)} to ${share(high)}`],
      ["gate", `≤ ${share(gate.limit, 0)}`],
    ]));
  }

  function costCard(overall, gate) {
    return card("Cost: waste, P90", ratio(overall.waste_p90), verdict(gate), list([
      ["gate", `< ${number(gate.limit, 0, "×")}`],
      ["predicted / actual, median", ratio(overall.waste_median)],
      ["predicted / actual, mean", ratio(overall.waste_mean)],
      ["ceiling / actual, median", ratio(overall.ceiling_waste_median)],
      ["ceiling / actual, P90", ratio(overall.ceiling_waste_p90)],
      ["measured (clean)", number(overall.waste_n)],
    ]));
  }

  function errorCard(overall) {
    const around = ({ smape_mean: mean, smape_sd: sd }) => percent(mean) + (sd === null ? "" : ` ± ${percent(sd)}`);
    return card("Error: SMAPE, median", percent(overall.smape_median), list([
      ["mean ± sd", around(overall)],
      ["least", percent(overall.smape_min)],
      ["most", percent(overall.smape_max)],
      ["measured", number(overall.smape_n)],
      ["clean: median", percent(overall.clean.smape_median)],
      ["clean: mean ± sd", around(overall.clean)],
    ]));
  }

  function showNumbers(report, choice) {
    const there = Boolean(report && report.overall.n);
    for (const id of ["cards", "ends", "strata-section"]) place(id).hidden = !there;
    const lacking = !board.has_pairs && choice.every(({ at }) => at >= 0);
    const said = there ? [report.status, report.reason] : board.nothing[lacking ? "lacking" : "empty"];
    [place("status").textContent, place("reason").textContent] = said;
    if (!there) return;
    const { overall, gates, phase_outcomes: outcomes } = report;
    place("cards").replaceChildren(riskCard("underestimated", overall, gates[0]),
      riskCard("truncated", overall, gates[1]), costCard(overall, gates[2]), errorCard(overall));
    const ends = outcomes.map((one) => `${one.phase_outcome ?? "not told"} ${number(one.events)}`).join(", ");
    place("ends").textContent = `Builder success (the answer was parsed): ${number(overall.parsed)} of ` +
      `${number(overall.n)}. Phase outcome (what became of the work): ${ends}.`;
    place("strata").replaceChildren(strataTable(report));
  }

  function strataTable({ by, strata }) {
    const columns = [
      ...by.map((name) => [name, (one) => nameOf(one[name])]),
      ["n", (one) => number(one.n)],
      ["clean", (one) => number(one.clean.n)],
      ["under-estimated", (one) => `${number(one.underestimated)} (${share(one.underestimated_rate, 0)})`],
      ["truncated", (one) => `${number(one.truncated)} (${share(one.truncated_rate, 0)})`],
      ["SMAPE mean", (one) => percent(one.smape_mean)],
      ["SMAPE median", (one) => percent(one.smape_median)],
      ["SMAPE sd", (one) => percent(one.smape_sd)],
      ["waste median", (one) => ratio(one.waste_median)],
      ["waste P90", (one) => ratio(one.waste_p90)],
      ["predicted mean tokens", (one) => number(one.mean_predicted)],
      ["actual mean tokens", (one) => number(one.mean_actual)],
      ["unstable", (one) => (one.unstable ? `~ ${one.unstable_because.join(", ")}` : "")],
    ];
    const kind = (at) => (at < by.length ? "text" : "");
    const head = make("tr", "", ...columns.map(([title], at) => make("th", kind(at), title)));
    const rows = strata.map((one) => make("tr", "",
      ...columns.map(([, write], at) => make(kind(at) ? "th" : "td", kind(at), write(one)))));
    for (const title of head.children) title.scope = "col";
    for (const row of rows) for (const name of row.querySelectorAll("th")) name.scope = "row";
    return make("table", "", make("thead", "", head), make("tbody", "", ...rows));
  }

  // The charts

  function unpacked({ text_fields: textFields, number_fields: numberFields, texts, rows }) {
    return rows.map((row) => Object.fromEntries([
      ...textFields.map((name, at) => [name, row[at] < 0 ? null : texts[row[at]]]),
      ...numberFields.map((name, at) => [name, row[textFields.length + at]]),
    ]));
  }

  function showTip(handler, event, item, value) {
    const tip = place("tip");
    tip.hidden = !value;
    if (tip.hidden) return;
    const known = board.tooltip.filter(([name]) => (item.datum[name] ?? null) !== null);
    tip.replaceChildren(list(known.map(([name, title, kind]) => [title, kinds[kind](item.datum[name])])));
    const spot = (at, size, room) => `${Math.max(4, at + 14 + size > room ? at - 14 - size : at + 14)}px`;
    tip.style.left = spot(event.clientX, tip.offsetWidth, root.clientWidth);
    tip.style.top = spot(event.clientY, tip.offsetHeight, innerHeight);
  }

  async function drawChart(chart, choice, report) {
    const [, caption, plot] = place(`chart-${chart.name}`).children;
    const shown = ({ stratum }) => !chart.strata || chart.strata.includes(stratum);
    const rows = tables[chart.rows].filter((row) => row[chart.needs] !== null && shown(row) && passes(row, choice));
    const count = chart.rows === "cells" ? rows.reduce((sum, row) => sum + row.n, 0) : rows.length;
    const sample = board.sampled && chart.rows === "events" ? " of a sample" : "";
    caption.textContent = `${chart.caption} n\u00a0=\u00a0${number(count)}${sample}.`;
    if (views.has(chart.name)) views.get(chart.name).finalize();
    views.delete(chart.name);
    if (!rows.length) {
      plot.replaceChildren(make("p", "empty", chart.empty));
      return;
    }
    const strata = report ? report.strata.filter((one) => one.smape_n && shown(one)) : [];
    const lines = new Set([...rows, ...strata].map(({ stratum }) => stratum)).size;
    const height = chart.spec.height.step ? chart.spec.height.step * lines : chart.spec.height;
    const datasets = { ...chart.spec.datasets, [chart.rows]: rows, strata };
    const params = [{ name: "crowd", value: rows.length }];
    const spec = { ...chart.spec, params, height, datasets, description: `${chart.title}. ${caption.textContent}` };
    views.set(chart.name, await vegaEmbed(plot, spec, {
      mode: "vega-lite", renderer: "canvas", actions: false, defaultStyle: false,
      ast: true, // expressions are interpreted, so that the page may forbid `eval`
      config: board.looks[dark.matches ? "dark" : "light"], tooltip: showTip,
    }));
  }

  async function draw(turn) {
    if (turn !== turns) return; // a later one is waiting
    const choice = chosen();
    const report = reportOf(choice);
    place("tip").hidden = true;
    showChoice(choice);
    showNumbers(report, choice);
    for (const chart of board.charts) await drawChart(chart, choice, report);
    if (turn !== turns || root.dataset.state === "failed") return;
    Object.assign(root.dataset, { charts: views.size, look: dark.matches ? "dark" : "light", state: "drawn" });
  }

  function redraw() {
    const turn = (turns += 1);
    root.dataset.state = "drawing";
    queue = queue.then(() => draw(turn)).catch(fail);
  }

  for (const [name, names] of filters) {
    place(name).append(new Option("all", ""), ...names.map((value, at) => new Option(nameOf(value), at)));
    place(name).addEventListener("change", choose);
  }
  for (const chart of board.charts) {
    const parts = [make("h3", "", chart.title), make("figcaption"), make("div", "plot")];
    place("charts").appendChild(make("figure", chart.wide ? "wide" : "", ...parts)).id = `chart-${chart.name}`;
  }
  place("filters").addEventListener("submit", (event) => event.preventDefault());
  place("reset").addEventListener("click", () => { location.hash = ""; });
  window.addEventListener("hashchange", redraw);
  dark.addEventListener("change", redraw);
  redraw();
})();
