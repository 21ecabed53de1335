"use strict";

/* The page works on what stands in it: rows of the table are sorted and filtered in place, charts are drawn by plotly
   from the data below, which has been computed by gridrl; nothing is fetched. */

const data = JSON.parse(document.getElementById("report-data").textContent);
const byId = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const darkness = matchMedia("(prefers-color-scheme: dark)");

const rows = all("#variants tbody tr");
const toggledOff = new Set(data.variants.map((_, index) => index).filter((index) => !data.variants[index].isShown));
let filteredOut = new Set();

/* Scores of two environments do not share an axis. */
const isOfEnv = (index) => data.variants[index].env === (byId("curve-env")?.value ?? data.envs[0]);
const isShown = (index) => !toggledOff.has(index) && !filteredOut.has(index) && isOfEnv(index);

/* ---- the table ---- */

function compareCells(first, second, isDescending) {
  const [a, b] = [first, second].map((cell) => cell.dataset.v ?? "");
  if (a === "" || b === "") return (a === "") - (b === ""); // what is missing stands last, whichever way
  const numbers = [Number(a), Number(b)];
  const order = numbers.some(Number.isNaN) ? a.localeCompare(b, undefined, { numeric: true }) : numbers[0] - numbers[1];
  return isDescending ? -order : order;
}

function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentElement.children].indexOf(header);
  const was = header.getAttribute("aria-sort");
  const isDescending = was ? was === "ascending" : header.dataset.first === "descending";
  for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const sorted = [...body.rows].sort((a, b) => compareCells(a.cells[column], b.cells[column], isDescending));
  body.append(...sorted);
}

function rowFits(row, text, chosen) {
  const variant = data.variants[Number(row.dataset.index)];
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const content = row.textContent.toLowerCase();
  return (
    words.every((word) => content.includes(word)) &&
    Object.entries(chosen.settings).every(([key, value]) => (variant.settings[key] ?? "") === value) &&
    (!chosen.state || variant.states[chosen.state] > 0)
  );
}

function chosenFilters() {
  const settings = {};
  for (const select of all("#filters select[data-key]")) {
    if (select.selectedIndex > 0) settings[select.dataset.key] = select.value;
  }
  return { settings, state: byId("filter-state")?.value ?? "" };
}

function filterRows() {
  const text = byId("filter-text").value;
  const chosen = chosenFilters();
  filteredOut = new Set();
  for (const row of rows) {
    const fits = rowFits(row, text, chosen);
    row.hidden = !fits;
    if (!fits) filteredOut.add(Number(row.dataset.index));
  }
  byId("filter-count").textContent = `${rows.length - filteredOut.size} of ${rows.length} variants`;
  showChips();
  drawCharts();
}

function showChips() {
  for (const chip of all(".chip")) {
    const index = Number(chip.dataset.index);
    chip.hidden = filteredOut.has(index) || !isOfEnv(index);
  }
}

/* ---- charts ---- */

function lightened(color) {
  if (!isDark()) return color;
  const share = 0.38; // --lighten of the style sheet
  const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * share)).join(",")})`;
}

const isDark = () => darkness.matches && !document.documentElement.classList.contains("paper");
const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function layout(more) {
  const axis = { gridcolor: styled("--grid"), linecolor: styled("--faint"), zeroline: false, automargin: true, ticks: "outside",
    tickcolor: styled("--faint"), exponentformat: "SI" };
  return {
    paper_bgcolor: styled("--ground"), plot_bgcolor: styled("--ground"),
    font: { color: styled("--ink"), family: "system-ui, sans-serif", size: 13 },
    hoverlabel: { bgcolor: styled("--raised"), bordercolor: styled("--rule"), font: { color: styled("--ink") }, align: "left" },
    margin: { l: 56, r: 16, t: 12, b: 48 }, showlegend: false, dragmode: "zoom", ...more,
    xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, ...more.yaxis },
  };
}

const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  plotlyServerURL: "", showTips: false };

/* A chart is a picture to a screen reader, with a sentence that says what it shows. */
function plot(id, traces, more, sentence) {
  const place = byId(id);
  if (!window.Plotly || !place) return;
  place.setAttribute("aria-label", sentence);
  window.Plotly.react(place, traces, layout(more), CONFIG);
}

function bandTrace(curve, color) {
  const there = curve.x.map((_, at) => at).filter((at) => curve.low[at] !== null);
  const pick = (values) => there.map((at) => values[at]);
  return { x: [...pick(curve.x), ...pick(curve.x).reverse()], y: [...pick(curve.high), ...pick(curve.low).reverse()],
    fill: "toself", fillcolor: color, opacity: 0.18, line: { width: 0 }, mode: "lines", hoverinfo: "skip" };
}

function meanTrace(curve, variant, color) {
  const told = curve.x.map((_, at) => [curve.n[at], curve.low?.[at] ?? "", curve.high?.[at] ?? ""]);
  const interval = curve.low ? "<br>%{customdata[1]:.4~g} to %{customdata[2]:.4~g}" : "";
  return { x: curve.x, y: curve.mean, customdata: told, mode: curve.x.length > 1 ? "lines" : "markers", name: variant.label,
    line: { color, width: 2.4, dash: variant.dash }, marker: { color, size: 8 },
    hovertemplate: `<b>${plain(variant.label)}</b><br>%{y:.4~g} at %{x:.4~s}${interval}<br>seeds: %{customdata[0]}<extra></extra>` };
}

function seedTraces(curve, variant, color) {
  return curve.seeds.map((seed) => ({ x: curve.x, y: seed.y, mode: curve.x.length > 1 ? "lines" : "markers",
    line: { color, width: 1, dash: variant.dash }, marker: { color, size: 5 }, opacity: 0.5,
    hovertemplate: `${plain(variant.label)}, ${plain(seed.name)}<br>%{y:.4~g} at %{x:.4~s}<extra></extra>` }));
}

/* Pale enough for dark numbers in every cell. */
const HEAT = [[0, "#f4efe1"], [0.5, "#a9d3c8"], [1, "#4b9dc9"]];

/* plotly takes some HTML in its texts. */
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("%{", "%&#123;");

/* Not every value is drawn over everything. */
function chosenAxis(value) {
  const select = byId("curve-x");
  const there = data.axes[value] ?? [];
  for (const option of select?.options ?? []) option.disabled = !there.includes(option.value);
  if (select && !there.includes(select.value)) select.value = there[0];
  return select?.value;
}

function drawCurves() {
  if (!byId("curve-chart")) return;
  const value = byId("curve-value")?.value;
  const xaxis = chosenAxis(value);
  const curves = (data.curves[`${value}|${xaxis}`] ?? []).filter((curve) => isShown(curve.variant));
  const lines = byId("curve-seeds")?.value;
  const [bands, thin, means] = [[], [], []];
  for (const curve of curves) {
    const variant = data.variants[curve.variant];
    const color = lightened(variant.color);
    if (curve.low && byId("curve-bands").checked) bands.push(bandTrace(curve, color));
    if (lines === "all" || (lines === "few" && curve.few)) thin.push(...seedTraces(curve, variant, color));
    means.push(meanTrace(curve, variant, color));
  }
  const more = { xaxis: { rangemode: "tozero", title: { text: plain(data.words[xaxis] ?? xaxis ?? "") } },
    yaxis: { title: { text: plain(data.words[value] ?? value ?? "") }, range: cutRange(bands, [...thin, ...means]) } };
  byId("curve-cut").hidden = !more.yaxis.range;
  plot("curve-chart", [...bands, ...thin, ...means], more, `Curves of ${curves.length} variants: ${value} over ${xaxis}.`);
}

function drawScores() {
  const shown = data.variants.map((variant, index) => ({ ...variant, index })).filter((v) => v.score !== null && isShown(v.index));
  shown.reverse(); // the first of the table on top
  const names = shown.map((variant) => shortened(variant.label));
  const colors = shown.map((variant) => lightened(variant.color));
  const reach = (side) => shown.map((v) => (v[side] === null ? 0 : Math.abs(v[side] - v.score)));
  const places = shown.map((_, at) => at);
  const dots = { x: shown.flatMap((v) => v.scores), y: shown.flatMap((v, at) => v.scores.map(() => at)), mode: "markers",
    marker: { color: shown.flatMap((v, at) => v.scores.map(() => colors[at])), size: 7, opacity: 0.45 },
    hovertemplate: "%{x:.5~g}<extra>one seed</extra>" };
  const centers = { x: shown.map((v) => v.score), y: places, mode: "markers", text: shown.map((v) => plain(v.label)),
    marker: { color: colors, size: 11, symbol: "diamond", line: { color: styled("--ground"), width: 1 } },
    error_x: { type: "data", symmetric: false, array: reach("high"), arrayminus: reach("low"), color: styled("--ink"), thickness: 1.6 },
    hovertemplate: "<b>%{text}</b><br>%{x:.5~g}<extra></extra>" };
  const more = { xaxis: { title: { text: data.scoreWords.map(plain).join("<br>") } }, height: Math.max(180, 90 + 26 * shown.length),
    yaxis: { tickvals: places, ticktext: names.map(plain), showgrid: false, range: [-0.7, shown.length - 0.3] } };
  plot("score-chart", [dots, centers], more, `Final scores of ${shown.length} variants with their intervals.`);
}

function shortened(text) {
  const most = window.innerWidth < 640 ? 16 : 44;
  const kept = most - 1;
  return text.length <= most ? text : `${text.slice(0, kept - (kept >> 1))}\u2026${text.slice(-(kept >> 1))}`;
}

function drawHeat() {
  const [across, down] = [byId("heat-x")?.value, byId("heat-y")?.value];
  const place = byId("heat-chart");
  if (!place) return;
  const key = [across, down].join("|");
  const maps = data.heat.maps[byId("heat-env")?.value ?? data.envs[0]];
  const heat = maps[key] ?? maps[[down, across].join("|")];
  byId("heat-same").hidden = across !== down;
  place.hidden = across === down || !heat?.xs.length;
  if (place.hidden) return;
  const isTurned = !(key in maps);
  const turn = (matrix) => (isTurned ? matrix[0].map((_, at) => matrix.map((row) => row[at])) : matrix);
  const which = byId("heat-which").value;
  const [xs, ys] = isTurned ? [heat.ys, heat.xs] : [heat.xs, heat.ys];
  const z = turn(heat[which]);
  const counts = turn(heat.counts);
  const trace = { type: "heatmap", x: xs.map((_, at) => at), y: ys.map((_, at) => at), z, customdata: counts, xgap: 2, ygap: 2,
    colorscale: HEAT, reversescale: data.smallerIsBetter, textfont: { color: "#111" },
    texttemplate: z.length * z[0].length <= 100 ? "%{z:.4~g}" : "", hoverongaps: false,
    colorbar: { thickness: 14, outlinewidth: 0, exponentformat: "SI" },
    hovertemplate: `${plain(data.heat.words[across])}: %{x}<br>${plain(data.heat.words[down])}: %{y}` +
      "<br>%{z:.5~g}<br>variants: %{customdata}<extra></extra>" };
  const ticks = (values) => ({ tickvals: values.map((_, at) => at), ticktext: values.map((v) => plain(shortened(v))), showgrid: false,
    type: "linear" });
  const more = { xaxis: { ...ticks(xs), title: { text: plain(data.heat.words[across]) } },
    yaxis: { ...ticks(ys), title: { text: plain(data.heat.words[down]) } }, height: Math.max(260, 130 + 46 * ys.length) };
  plot("heat-chart", [trace], more, `Heatmap of the score over ${across} and ${down}.`);
}

/* Bands may be many times higher than the curves; then the axis follows the curves, and bands are cut at its ends. */
function cutRange(bands, lines) {
  const extent = (traces) => {
    const values = traces.flatMap((trace) => trace.y).filter((value) => value !== null);
    return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  };
  const [low, high] = extent(lines);
  const [bandLow, bandHigh] = extent(bands);
  const reach = 0.4 * (high - low);
  if (!(bandLow < low - reach || bandHigh > high + reach) || !(high > low)) return undefined;
  const pad = 0.03 * (high - low);
  return [Math.max(bandLow, low - reach) - pad, Math.min(bandHigh, high + reach) + pad];
}

function drawCharts() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  drawCurves();
  drawScores();
  drawHeat();
}

/* ---- controls ---- */

function toggle(chip, isOn) {
  const index = Number(chip.dataset.index);
  if (isOn) toggledOff.delete(index);
  else toggledOff.add(index);
  chip.setAttribute("aria-pressed", String(isOn));
}

/* What matters in a log is its end. */
function showEnds(details) {
  if (details.open) for (const tail of all("pre.tail", details)) tail.scrollTop = tail.scrollHeight;
}

function connectControls() {
  for (const details of all("details.failed-run")) details.addEventListener("toggle", () => showEnds(details));
  for (const button of all("th button")) button.addEventListener("click", () => sortBy(button.closest("th")));
  byId("filter-text").addEventListener("input", filterRows);
  for (const select of all("#filters select")) select.addEventListener("change", filterRows);
  byId("filter-clear").addEventListener("click", () => {
    byId("filter-text").value = "";
    for (const select of all("#filters select")) select.selectedIndex = 0;
    filterRows();
  });
  for (const chip of all(".chip")) {
    chip.addEventListener("click", () => {
      toggle(chip, chip.getAttribute("aria-pressed") !== "true");
      drawCharts();
    });
  }
  for (const [id, isOn] of [["chips-all", true], ["chips-none", false]]) {
    byId(id)?.addEventListener("click", () => {
      for (const chip of all(".chip:not([hidden])")) toggle(chip, isOn);
      drawCharts();
    });
  }
  for (const control of all("#curves .controls select, #curves .controls input")) control.addEventListener("change", drawCurves);
  byId("curve-env")?.addEventListener("change", () => {
    showChips();
    drawCharts();
  });
  for (const control of all("#heatmap select")) control.addEventListener("change", drawHeat);
}

/* Paper is white: charts are drawn for it, and what is folded up is opened where it belongs to the printed page. */
function connectPrinting() {
  let opened = [];
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("paper");
    opened = all("details[data-print]:not([open])");
    for (const one of opened) one.open = true;
    drawCharts();
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("paper");
    for (const one of opened) one.open = false;
    drawCharts();
  });
}

async function loadPlotly() {
  const bytes = Uint8Array.from(atob(byId("plotly").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

async function start() {
  connectControls();
  showChips();
  connectPrinting();
  darkness.addEventListener("change", drawCharts);
  try {
    await loadPlotly();
  } catch (error) {
    for (const place of all(".chart")) place.textContent = `The charts cannot be drawn in this browser (${error}).`;
    return;
  }
  drawCharts();
  document.documentElement.dataset.ready = "yes";
}

start();
