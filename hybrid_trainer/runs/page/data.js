// The facts, the curves, what the user has chosen, and how to ask for one value.

const FACTS = JSON.parse(document.getElementById("facts-data").textContent);
let parsedCurves = null;

function curvesData() {
  parsedCurves ??= JSON.parse(document.getElementById("curves-data").textContent);
  return parsedCurves;
}

const runCount = FACTS.runs.length;
const [ONE, MANY] = FACTS.aside.length ? ["configuration", "configurations"] : ["run", "runs"]; // what a row is
const falling = new Set(FACTS.falling);
const state = {
  shown: [], // numbers of the runs in the table, in its order
  chosen: new Set(), // whose curves are drawn
  a: runCount > 1 ? 0 : null,
  b: runCount > 1 ? 1 : null,
};

function configValue(run, key) {
  if (Object.hasOwn(FACTS.same, key)) return FACTS.readable[run] ? FACTS.same[key] : undefined;
  const column = Object.hasOwn(FACTS.config, key) ? FACTS.config[key] : { values: [], of: [] };
  return column.values[column.of[run]];
}

function metricValue(run, metric) {
  const value = Object.hasOwn(FACTS.metrics, metric) ? FACTS.metrics[metric][run] : null;
  return value === null ? undefined : value;
}

// Of a configuration with several runs, the mean with its standard deviation.
function metricText(run, metric) {
  const mean = short(metricValue(run, metric));
  const spread = Object.hasOwn(FACTS.spread, metric) ? FACTS.spread[metric][run] : null;
  if (spread === null) return mean;
  return `${mean} ± ${mean.includes("e") ? short(spread) : spread.toFixed(4)}`;
}

function text(value) {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function short(number) {
  if (number === undefined) return "–";
  const size = Math.abs(number);
  if (Number.isInteger(number) && size < 1e7) return String(number);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? number.toExponential(3) : number.toFixed(4);
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function say(id, words) {
  document.getElementById(id).textContent = words;
}

function tell(what) {
  document.dispatchEvent(new Event(what));
}

function fillSelect(id, names, chosen) {
  const select = document.getElementById(id);
  select.replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
  if (names.includes(chosen)) select.value = chosen;
  return select;
}
