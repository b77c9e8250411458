const $ = id => document.getElementById(id);
const studies = [JSON.parse($("study-data").textContent)];
const form = $("explorer-form"), charts = $("explorer-charts"), choices = $("explorer-choices");
const AXES = {step: "training step", seconds: "training time (s)", flops: "training compute (FLOP)"};
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f3c8d", "#505050"];
const titles = Object.assign({}, ...studies.map(study => study.titles));
const name = (study, run) => study === studies[0] ? run : `${study.study}: ${run}`;
const tasks = () => [...new Set(studies.flatMap(study => Object.keys(study.tasks)))];
const of_task = (task, field) => [...new Set(studies.flatMap(study => study.tasks[task]?.[field] ?? []))];
const runs_of = task => studies.flatMap(study => Object.keys(study.runs).filter(run => study.runs[run].task === task).map(run => name(study, run)));

// What is drawn: of each task the ticked runs, conditions and weights.
const state = {y: "percent", x: "step", scale: "log", ticks: {}};
const starting = task => ({
  run: [...new Set(studies.filter(study => study.tasks[task]).map(study => name(study, study.tasks[task].baseline)))],
  condition: [studies.find(study => study.tasks[task]).tasks[task].shown],
  weights: [studies.find(study => study.tasks[task]).tasks[task].averaged],
});

function read(hash) {
  const [place, query] = hash.slice(1).split("?");
  if (place !== "explorer" || !query) return false;
  const asked = new URLSearchParams(query);
  for (const key of ["y", "x", "scale"]) {
    if ([...form.elements[key].options].some(option => option.value === asked.get(key))) state[key] = asked.get(key);
  }
  for (const task of tasks()) {
    for (const kind of ["run", "condition", "weights"]) {
      if (asked.has(`${task}.${kind}`) || asked.has("all")) {
        const there = kind === "run" ? runs_of(task) : of_task(task, kind === "condition" ? "conditions" : "weights");
        state.ticks[task][kind] = asked.getAll(`${task}.${kind}`).filter(value => there.includes(value));
      }
    }
  }
  return true;
}

function written() {
  const query = new URLSearchParams({y: state.y, x: state.x, scale: state.scale, all: ""});
  for (const [task, ticks] of Object.entries(state.ticks)) {
    for (const [kind, values] of Object.entries(ticks)) values.forEach(value => query.append(`${task}.${kind}`, value));
  }
  return `#explorer?${query}`;
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function ticks(task, kind, label, values) {
  const boxes = values.map(value => {
    const box = element("input", {type: "checkbox", id: `tick ${task} ${kind} ${value}`, value, checked: state.ticks[task][kind].includes(value)});
    box.addEventListener("change", () => {
      const ticked = new Set(state.ticks[task][kind]);
      box.checked ? ticked.add(value) : ticked.delete(value);
      state.ticks[task][kind] = values.filter(one => ticked.has(one));
      update();
    });
    return element("label", {}, box, ` ${value}`);
  });
  return element("fieldset", {}, element("legend", {textContent: label}), ...boxes);
}

function offer() {
  const focused = document.activeElement?.id; // what is made anew loses the focus
  choices.replaceChildren(...tasks().map((task, place) => {
    const sets = [ticks(task, "run", "runs", runs_of(task)), ticks(task, "weights", "weights", of_task(task, "weights"))];
    if (of_task(task, "conditions").length > 1) sets.splice(1, 0, ticks(task, "condition", "conditions", of_task(task, "conditions")));
    const ticked = state.ticks[task];
    return element("details", {className: "ticks kept", open: opened.has(task)},
      element("summary", {textContent: `${titles[task] ?? task}: ${ticked.run.length} of ${runs_of(task).length} runs`, onclick: () => opened.has(task) ? opened.delete(task) : opened.add(task)}), ...sets);
  }));
  for (const key of ["y", "x", "scale"]) form.elements[key].value = state[key];
  if (focused?.startsWith("tick ")) $(focused)?.focus();
}
const opened = new Set();

function rows_of(task) {
  const ticked = state.ticks[task], rows = [];
  for (const study of studies) {
    const at = Object.fromEntries(study.columns.map((column, place) => [column, place]));
    for (const point of study.points) {
      const run = name(study, point[at.run]);
      if (study.runs[point[at.run]].task !== task || !ticked.run.includes(run)) continue;
      if (!ticked.condition.includes(point[at.condition]) || !ticked.weights.includes(point[at.weights])) continue;
      const {seconds, flops} = study.runs[point[at.run]], step = point[at.step];
      const each = {step: 1, seconds, flops}[state.x];
      if (each === null || point[at[state.y]] === null) continue;
      const share = state.y === "percent";
      rows.push({
        run, condition: point[at.condition], weights: point[at.weights], step, seconds: step * seconds, x: step * each,
        y: point[at[state.y]], low: share ? point[at.percent_low] : null, high: share ? point[at.percent_high] : null,
        skill: point[at.skill], unskilled: !(point[at.skill] >= study.tasks[task].skill),
        series: [run, ...(ticked.condition.length > 1 ? [point[at.condition]] : []), ...(ticked.weights.length > 1 ? [point[at.weights]] : [])].join(", "),
      });
    }
  }
  return rows;
}

function drawn(task, all, width) {
  const log = state.scale === "log" && state.y !== "skill";
  const rows = all.filter(row => !log || row.y > 0).map(row => ({...row, low: log && row.low !== null ? Math.max(row.low, row.y / 100) : row.low}));
  const least = Math.min(...rows.map(row => row.x).filter(x => x > 0)), most = Math.max(...rows.map(row => row.x));
  const origin = least / 3;
  for (const row of rows) row.x = Math.max(row.x, origin);
  const decades = [];
  for (let power = Math.ceil(Math.log10(least)); power <= Math.log10(most); power++) decades.push(10 ** power);
  const interval = row => row.low === null ? "–" : `${short(row.low)} to ${short(row.high)}`;
  rows.forEach(row => { row.interval = interval(row); row.value = short(row.y); row.time = short(row.seconds); row.how_skilled = short(row.skill); });
  const names = [...new Set(rows.map(row => row.series))];
  const y = {field: "y", type: "quantitative", title: studies[0].measures[state.y],
    scale: log ? {type: "log", nice: false} : state.y === "skill" ? {domain: [Math.max(-0.25, Math.min(0, ...rows.map(row => row.y))), 1]} : {zero: true}};
  const x = {field: "x", type: "quantitative", title: AXES[state.x], scale: {type: "log", domain: [origin, most], nice: false},
    axis: {values: [origin, ...decades], labelExpr: `datum.value <= ${origin * 1.0001} ? '0' : format(datum.value, '~s')`}};
  const colour = {field: "series", type: "nominal", title: null, scale: {domain: names, range: names.map((_, i) => COLOURS[i % COLOURS.length])},
    legend: {orient: "bottom", columns: width < 500 ? 1 : 3, labelLimit: 280, symbolType: "stroke", symbolStrokeWidth: 3, symbolOpacity: 1}};
  const tooltip = [["run", "run"], ["condition", "condition"], ["weights", "weights"], ["step", "step"], ["time", "training time (s)"],
    ["value", studies[0].measures[state.y]], ["interval", "interval"], ["how_skilled", "skill"]].map(([field, title]) => ({field, title, type: field === "step" ? "quantitative" : "nominal", ...(field === "step" && {format: ","})}));
  const point = {type: "point", size: 45, strokeWidth: 1.5, opacity: 1, clip: true};
  return {
    title: {text: titles[task] ?? task, anchor: "start"}, width: "container", height: 300,
    data: {values: rows}, encoding: {x, color: colour},
    layer: [
      {mark: {type: "area", opacity: 0.15, clip: true}, encoding: {y: {...y, field: "low"}, y2: {field: "high"}}, transform: [{filter: "datum.low !== null"}]},
      {mark: {type: "line", clip: true}, encoding: {y}},
      {mark: {...point, filled: true}, encoding: {y, tooltip}, transform: [{filter: "!datum.unskilled"}]},
      {mark: {...point, filled: false, fill: "white"}, encoding: {y, tooltip}, transform: [{filter: "datum.unskilled"}]},
    ],
    config: {font: "system-ui, sans-serif", axis: {labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal"}, legend: {labelFontSize: 12}, title: {fontSize: 14}, view: {stroke: "#dcdcdc"}},
  };
}

const short = value => value === null || !Number.isFinite(value) ? "–" : Number(value.toPrecision(3)).toLocaleString("en", {maximumSignificantDigits: 3});

let latest = 0;
async function draw() {
  const turn = ++latest;
  const places = [];
  for (const task of tasks()) {
    const rows = rows_of(task);
    if (rows.length) places.push([task, rows, element("div", {className: "chart", role: "group"})]);
  }
  charts.replaceChildren(...places.map(([, , place]) => place));
  $("explorer-status").textContent = places.length ? `${places.reduce((sum, [, rows]) => sum + rows.length, 0)} points` : "Nothing is ticked, or the study has no such numbers.";
  for (const [task, rows, place] of places) {
    if (turn !== latest) return;
    place.setAttribute("aria-label", `${studies[0].measures[state.y]} against ${AXES[state.x]}: ${titles[task] ?? task}`);
    await window.vegaEmbed(place, drawn(task, rows, charts.clientWidth), {mode: "vega-lite", renderer: "svg", actions: false});
  }
  document.documentElement.dataset.drawn = turn;
}

function update() {
  history.replaceState(null, "", written());
  offer();
  return draw();
}

function compare(other) {
  const [here] = studies, changed = [];
  for (const [claim, [label, found]] of Object.entries(here.verdicts)) {
    for (const [where, verdict] of Object.entries(found)) {
      const there = other.verdicts[claim]?.[1][where];
      if (there && there !== verdict) changed.push([label, where.replace(/^\S+/, task => titles[task] ?? task), verdict, there]);
    }
  }
  const row = (tag, cells) => element("tr", {}, ...cells.map(text => element(tag, {textContent: text})));
  $("comparison").replaceChildren(
    element("h3", {textContent: `Verdicts that differ between ${here.study} and ${other.study}`}),
    changed.length
      ? element("div", {className: "wide", tabIndex: 0}, element("table", {}, element("thead", {}, row("th", ["Claim", "Task, weights", here.study, other.study])), element("tbody", {}, ...changed.map(cells => row("td", cells)))))
      : element("p", {textContent: "None."}));
}

for (const key of ["y", "x", "scale"]) {
  form.elements[key].addEventListener("change", event => { state[key] = event.target.value; update(); });
}
form.addEventListener("submit", event => event.preventDefault());
$("explorer-link").addEventListener("click", async () => {
  history.replaceState(null, "", written());
  try {
    await navigator.clipboard.writeText(location.href);
    $("explorer-status").textContent = "The link is copied.";
  } catch {
    $("explorer-status").textContent = "The address of this page is the link.";
  }
});
$("explorer-other").addEventListener("change", async event => {
  const file = event.target.files[0];
  if (!file) return;
  const page = new DOMParser().parseFromString(await file.text(), "text/html"), found = page.getElementById("study-data");
  if (!found) {
    $("explorer-status").textContent = `${file.name} is no report of a study that can be compared.`;
    return;
  }
  const other = JSON.parse(found.textContent);
  if (other.study === studies[0].study) other.study += " (other)";
  studies.splice(1, 1, other);
  Object.assign(titles, {...other.titles, ...titles});
  for (const task of tasks()) state.ticks[task] = starting(task);
  compare(other);
  await update();
});
addEventListener("hashchange", () => { if (read(location.hash)) { offer(); draw(); } });

for (const task of tasks()) state.ticks[task] = starting(task);
const linked = read(location.hash);
offer();
if (linked) $("explorer").scrollIntoView();
draw();
