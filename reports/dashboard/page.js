// Puts the figures of a choice in their places, draws the charts, and follows the filters.
// The figures of the report are all written by Python. Here only the events of a chart are counted, and Vega
// computes what a chart draws: medians, ranges, sums of cells.
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

  const PAPER = 640; // CSS pixels of the narrowest usual paper between its margins
  const DAY = 86_400_000; // milliseconds
  const LISTED = 10; // as in points.py

  const board = JSON.parse(place("board").textContent);
  const tables = { events: unpacked(board.events), cells: board.cells };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = new Map();
  const whole = new Map(["worst", "newest"].map((name) => [name, [...place(name).tBodies[0].rows]]));
  const ownNotes = [...place("notes").children];
  let paper = false;
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

  // How the values of an event are written; what there is no value for is a dash.

  const number = (value) => (value === null ? "–" : value.toLocaleString("en-US"));
  const percent = (value) => (value === null ? "–" : `${value.toFixed(1)}%`);
  const nameOf = (value) => (value === null ? "(none)" : value || "(empty)");
  const dayOf = (value) => (Number.isNaN(value) ? "" : new Date(value).toISOString().slice(0, 10));
  const moment = (value) => new Date(value).toISOString().slice(0, 19).replace("T", " ");
  const kinds = {
    text: nameOf, percent, count: number, tokens: (value) => `${number(value)} tokens`,
    time: (value) => `${moment(value)} UTC`,
  };

  // What is chosen is in the fragment of the address alone, so that every view has a link.

  const dated = (name) => name === "since" || name === "until";
  const isDay = (value) => /^\d{4}-\d\d-\d\d$/.test(value) && dayOf(Date.parse(value)) === value;

  function chosen() {
    const asked = new URLSearchParams(location.hash.slice(1));
    return board.filters.map(({ name, offered }) => {
      const value = asked.get(name);
      const at = value === null ? -1 : offered.indexOf(value);
      const known = dated(name) ? isDay : (one) => tables.events.some((row) => row[name] === one);
      return { name, value, at, on: at >= 0 || (value !== null && known(value)) };
    });
  }

  // The value of an option is the index of its name, or "=" and a name from the address that isn't offered.

  function choose() {
    const set = board.filters.filter(({ name }) => place(name).value);
    const values = set.map(({ name, offered }) => {
      const { value } = place(name);
      return [name, value[0] === "=" ? value.slice(1) : offered[value]];
    });
    location.hash = new URLSearchParams(values).toString();
  }

  function showChoice(choice) {
    for (const { name, value, at, on } of choice) {
      const filter = place(name);
      const option = !on ? "" : at < 0 ? `=${value}` : String(at);
      if (![...filter.options].some((one) => one.value === option)) filter.append(new Option(nameOf(value), option));
      filter.value = option;
    }
    place("reset").disabled = choice.every(({ on }) => !on);
    const unknown = choice.filter(({ value, on }) => value !== null && !on).map(({ name, value }) =>
      `This page has no ${name} "${value}" to choose: all are shown.`);
    const on = choice.filter((one) => one.on).map(({ name, value }) => `${name} ${nameOf(value)}`);
    const shown = on.length ? [`Chosen: ${on.join(", ")}.`] : [];
    place("notes").replaceChildren(...[...shown, ...unknown].map((note) => make("p", "notice", note)), ...ownNotes);
  }

  function passes(row, choice) {
    return choice.every(({ name, value, on }) => {
      if (!on) return true;
      if (name === "since") return row.at >= Date.parse(value);
      if (name === "until") return row.at < Date.parse(value) + DAY;
      return row[name] === value;
    });
  }

  const figuresOf = (choice) =>
    (choice.some(({ on, at }) => on && at < 0) ? null : board.figures[choice.map(({ at }) => (at < 0 ? "" : at)).join("/")]);

  // The numbers

  function fill(slot, value) {
    if (slot.tagName !== "svg") {
      if (Array.isArray(value)) slot.className = `verdict ${value[0]}`;
      slot.textContent = Array.isArray(value) ? value[1] : value;
      return;
    }
    slot.setAttribute("display", value ? "inline" : "none");
    if (!value) return;
    const [low, at, high, limit] = value.map((one) => `${one}%`);
    const [, interval, dot, mark, name] = slot.children;
    const width = `${value[2] - value[0]}%`;
    const set = (part, spots) => Object.entries(spots).forEach(([key, spot]) => part.setAttribute(key, spot));
    set(interval, { x: low, width });
    set(dot, { cx: at });
    set(mark, { x1: limit, x2: limit });
    set(name, { x: limit });
  }

  function showNumbers(figures, any) {
    const there = Boolean(figures && any);
    for (const id of ["numbers", "strata-section"]) place(id).hidden = !there;
    const said = there ? [figures.heading, figures.reason] : any ? board.lacking : board.nothing;
    place("heading").textContent = said[0];
    place("reason").replaceChildren(...said[1].split("`").map((part, at) => (at % 2 ? make("code", "", part) : part)));
    if (!there) return;
    document.querySelectorAll("[data-slot]").forEach((slot, at) => fill(slot, figures.slots[at]));
    place("ends").textContent = figures.ends;
    strata.rows = figures.rows;
    showStrata();
  }

  // Tables. The titles of the strata are buttons that sort; the lists of events have an order of their own.

  const strata = { table: place("strata"), rows: [], column: 0, down: false };

  function compared(one, other) {
    if (one === null || other === null) return (one === null) - (other === null); // nothing measured: last, both ways
    return strata.down ? other - one : one - other;
  }

  function showStrata() {
    const { table, rows, column, down } = strata;
    const sorted = rows.slice().sort((a, b) => compared(a[column][2], b[column][2]));
    table.tBodies[0].replaceChildren(...sorted.map(tableRow));
    [...table.tHead.rows[0].cells].forEach((title, at) => {
      title.setAttribute("aria-sort", at !== column ? "none" : down ? "descending" : "ascending");
    });
  }

  function tableRow([first, ...rest]) {
    const cell = (tag, [text, small]) => make(tag, "", text, ...(small ? [make("br"), make("small", "", small)] : []));
    const head = cell("th", first);
    head.scope = "row";
    return make("tr", "", head, ...rest.map((one) => cell("td", one)));
  }

  function makeSortable() {
    [...strata.table.tHead.rows[0].cells].forEach((title, at) => {
      const button = make("button", "", title.textContent);
      button.type = "button";
      button.addEventListener("click", () => {
        const again = strata.column === at;
        Object.assign(strata, { column: at, down: again ? !strata.down : at > 0 });
        showStrata();
      });
      title.replaceChildren(button);
    });
  }

  const lowerBound = { [board.answers[1].name]: "at least: truncated", [board.answers[2].name]: "truncated or not: not told" };
  const orders = {
    worst: (a, b) => b.smape - a.smape || b.at - a.at || b.event - a.event,
    newest: (a, b) => b.at - a.at || b.event - a.event,
  };

  const eventRow = (row) => tableRow([
    [nameOf(row.phase), nameOf(row.run)], [row.off, `SMAPE ${percent(row.smape)}`],
    [number(row.predicted)], [number(row.actual), lowerBound[row.answer]], [row.source ?? "no log", row.said],
    [moment(row.at)], [row.stratum, nameOf(row.model)],
  ]);

  function showEvents(rows, choice) {
    const all = choice.every(({ on }) => !on);
    for (const [name, order] of Object.entries(orders)) {
      const found = name === "worst" ? rows.filter(({ smape }) => smape !== null) : rows.slice();
      const shown = all ? whole.get(name) : found.sort(order).slice(0, LISTED).map(eventRow);
      place(name).tBodies[0].replaceChildren(...shown);
    }
    place("sampled-note").hidden = all || !board.sampled;
  }

  // The charts

  const look = () => (dark.matches && !paper ? "dark" : "light");

  function unpacked({ text_fields: textFields, number_fields: numberFields, texts, rows }) {
    return rows.map((row) => {
      const event = Object.fromEntries([
        ...textFields.map((name, at) => [name, row[at] < 0 ? null : texts[row[at]]]),
        ...numberFields.map((name, at) => [name, row[textFields.length + at]]),
      ]);
      return Object.assign(event, { source: event.log === null ? null : `${event.log}:${event.line}` });
    });
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

  function legend(rows) {
    const there = new Set(rows.map(({ answer }) => answer));
    return board.answers.flatMap(({ name, sign }, at) =>
      (there.has(name) ? [make("span", "", make("i", `answer-${at}`, sign), ` ${name}`)] : []));
  }

  // Cells of the heat map count all events, but know no run and no time: with such a choice, the events drawn
  // are counted instead.
  const finer = (choice) => choice.some(({ name, on }) => on && (name === "run" || dated(name)));

  function rowsOf(chart, choice) {
    const shown = ({ stratum }) => !chart.strata || chart.strata.includes(stratum);
    const counted = chart.rows === "cells" && finer(choice);
    const rows = counted ? tables.events.map((row) => ({ ...row, n: 1 })) : tables[chart.rows];
    return rows.filter((row) => row[chart.needs] !== null && shown(row) && passes(row, choice));
  }

  async function drawChart(chart, choice) {
    const [, caption, key, plot] = place(`chart-${chart.name}`).children;
    const rows = rowsOf(chart, choice);
    const count = chart.rows === "cells" ? rows.reduce((sum, row) => sum + row.n, 0) : rows.length;
    const sample = board.sampled && (chart.rows === "events" || finer(choice)) ? " of a sample" : "";
    caption.textContent = `${chart.caption} n\u00a0=\u00a0${number(count)}${sample}.`;
    key.replaceChildren(...(chart.rows === "events" ? legend(rows) : []));
    if (views.has(chart.name)) views.get(chart.name).finalize();
    views.delete(chart.name);
    if (!rows.length) {
      plot.replaceChildren(make("p", "empty", chart.empty));
      return;
    }
    const lines = new Set(rows.map(({ stratum }) => stratum)).size;
    const height = chart.spec.height.step ? chart.spec.height.step * lines : chart.spec.height;
    const datasets = { ...chart.spec.datasets, [chart.rows]: rows };
    const params = [{ name: "crowd", value: rows.length }];
    const width = paper ? PAPER : "container";
    const spec = { ...chart.spec, params, width, height, datasets, description: `${chart.title}. ${caption.textContent}` };
    views.set(chart.name, await vegaEmbed(plot, spec, {
      mode: "vega-lite", renderer: "canvas", actions: false, defaultStyle: false,
      ast: true, // expressions are interpreted, so that the page may forbid `eval`
      config: board.looks[look()], tooltip: showTip,
    }));
  }

  async function draw(turn) {
    if (turn !== turns) return; // a later one is waiting
    const choice = chosen();
    const rows = tables.events.filter((row) => passes(row, choice));
    place("tip").hidden = true;
    showChoice(choice);
    showNumbers(figuresOf(choice), rows.length);
    showEvents(rows, choice);
    for (const chart of board.charts) await drawChart(chart, choice);
    if (turn !== turns || root.dataset.state === "failed") return;
    Object.assign(root.dataset, { charts: views.size, look: look(), state: "drawn" });
  }

  function redraw() {
    const turn = (turns += 1);
    root.dataset.state = "drawing";
    queue = queue.then(() => draw(turn)).catch(fail);
  }

  // For paper charts are drawn anew, in the light palette and in its width. Drawing waits for nothing but
  // promises, so that it is done before the page is laid out for print; narrower paper shrinks the charts.

  function drawFor(onPaper) {
    paper = onPaper;
    redraw();
  }

  window.addEventListener("beforeprint", () => drawFor(true));
  window.addEventListener("afterprint", () => drawFor(false));

  for (const { name, offered } of board.filters) {
    place(name).append(new Option("all", ""), ...offered.map((value, at) => new Option(nameOf(value), at)));
    place(name).addEventListener("change", choose);
  }
  for (const chart of board.charts) {
    const parts = [make("h3", "", chart.title), make("figcaption"), make("p", "key"), make("div", "plot")];
    place("charts").appendChild(make("figure", chart.wide ? "wide" : "", ...parts)).id = `chart-${chart.name}`;
  }
  makeSortable();
  place("scriptless").hidden = true;
  document.querySelector("nav").hidden = false;
  place("charts-section").hidden = false;
  place("filters").addEventListener("submit", (event) => event.preventDefault());
  place("reset").addEventListener("click", () => { location.hash = ""; });
  window.addEventListener("hashchange", redraw);
  dark.addEventListener("change", redraw);
  redraw();
})();
