// Parallel coordinates: a line per complete run through its keys to the metric.

const MOST_AXES = 12;
const MOST_TICKS = 24;
const parallelMetric = document.getElementById("parallel-metric");

function startParallel() {
  fillSelect("parallel-metric", Object.keys(FACTS.metrics), FACTS.metric);
  parallelMetric.addEventListener("change", () => stale("parallel"));
  chart("parallel", drawParallel, "shown");
}

function drawParallel() {
  const metric = parallelMetric.value;
  const runs = state.shown.filter((run) => FACTS.status[run] === "complete" && metricValue(run, metric) !== undefined);
  const keys = axisKeys(runs);
  const shown = keys.slice(-MOST_AXES);
  const most = keys.length > MOST_AXES ? `; ${MOST_AXES} of the ${keys.length} keys that differ` : "";
  say("parallel-note", runs.length ? `${count(runs.length, `complete ${ONE}`, `complete ${MANY}`)} of the table${most}; drag along an axis to pick lines, drag a name to move its axis` : "");
  if (!runs.length) return emptyChart("parallel", "No complete run in the table has this metric.");
  if (!keys.length) return emptyChart("parallel", "No key differs between these runs.");
  if (!drawsWebGL()) return emptyChart("parallel", "This browser has WebGL switched off, and this chart needs it.");
  const values = runs.map((run) => metricValue(run, metric));
  const stops = scaleStops().map((colour, place, all) => [place / (all.length - 1), colour]);
  const trace = {
    type: "parcoords",
    dimensions: [...shown.map((key) => dimension(key, runs, Math.max(12, Math.floor(220 / shown.length)))), { label: escaped(metric), values }],
    labelangle: -12,
    labelfont: { size: 11, color: themeColour("ink") },
    tickfont: { size: 10, color: themeColour("ink") },
    rangefont: { size: 9, color: themeColour("muted") },
    line: strength(values, metric, stops),
    unselected: { line: { opacity: 0.06 } },
  };
  Plotly.purge("parallel"); // its axes keep ranges of other values otherwise
  return plot("parallel", [trace], { height: 430, margin: { l: 90, r: 30, t: 100, b: 30 } });
}

// Colours by the metric: plotly draws the greatest number on top of the others, so that is the best run's.
function strength(values, metric, stops) {
  const sign = falling.has(metric) ? -1 : 1;
  const [least, greatest] = [Math.min(...values), Math.max(...values)];
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => least + part * (greatest - least));
  return {
    color: values.map((value) => sign * value),
    cmin: Math.min(sign * least, sign * greatest),
    cmax: least === greatest ? sign * least + 1 : Math.max(sign * least, sign * greatest),
    colorscale: stops,
    reversescale: true, // the scale begins with the colour of the best
    showscale: true,
    colorbar: {
      title: { text: `${escaped(metric)}, the best at the top`, side: "right" },
      thickness: 12,
      outlinewidth: 0,
      tickvals: least === greatest ? [sign * least] : ticks.map((tick) => sign * tick),
      ticktext: ticks.map(short),
    },
  };
}

// The keys that differ between these runs, the most important ones last: next to the metric.
function axisKeys(runs) {
  const known = FACTS.importance[parallelMetric.value]?.keys ?? FACTS.importance[FACTS.metric]?.keys ?? [];
  const rank = (key) => (known.includes(key) ? known.indexOf(key) : known.length);
  const differ = (key) => new Set(runs.map((run) => text(configValue(run, key)))).size > 1;
  return FACTS.keys.filter(differ).sort((one, other) => rank(other) - rank(one));
}

// An axis: numbers as they are, by their logarithm where they span decades, everything else by the order of its text;
// names and texts keep their last letters, as many as don't run into the next axis.
function dimension(key, runs, letters) {
  const values = runs.map((run) => configValue(run, key));
  const label = escaped(clipped(key, Math.min(letters, 30)));
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.length === values.length) {
    const distinct = [...new Set(numbers)].sort((one, other) => one - other);
    const decades = distinct[0] > 0 && distinct.at(-1) / distinct[0] >= 100;
    const scaled = decades ? Math.log10 : (value) => value;
    const ticks = distinct.length <= 8 ? distinct : decades ? powersOfTen(distinct[0], distinct.at(-1)) : null;
    return { label, values: values.map(scaled), ...(ticks && { tickvals: ticks.map(scaled), ticktext: ticks.map(tickText) }) };
  }
  const texts = values.map((value) => (value === undefined ? "–" : text(value)));
  const distinct = [...new Set(texts)].sort(collator.compare);
  const places = new Map(distinct.map((one, place) => [one, place]));
  const step = Math.ceil(distinct.length / MOST_TICKS);
  const ticks = distinct.filter((_, place) => place % step === 0);
  return { label, values: texts.map((one) => places.get(one)), tickvals: ticks.map((one) => places.get(one)), ticktext: ticks.map((one) => escaped(clipped(one, Math.min(letters, 18)))) };
}

function tickText(number) {
  return number !== 0 && Math.abs(number) < 1e-3 ? number.toExponential(2).replace(/\.?0*e/, "e") : String(Number(number.toPrecision(4)));
}

function powersOfTen(least, greatest) {
  const first = Math.ceil(Math.log10(least));
  const last = Math.floor(Math.log10(greatest));
  const powers = Array.from({ length: last - first + 1 }, (_, place) => 10 ** (first + place));
  return [least, ...powers.filter((power) => power > least * 1.5 && power < greatest / 1.5), greatest];
}

function drawsWebGL() {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("webgl");
  context?.getExtension("WEBGL_lose_context")?.loseContext(); // browsers keep few of them
  return Boolean(context);
}
