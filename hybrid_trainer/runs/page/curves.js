// Learning curves of the chosen runs, one over the other.

const LEGEND = 15;
const curveMetric = document.getElementById("curve-metric");
const curveLog = document.getElementById("curve-log");

function startCurves() {
  const names = curvesData().metrics;
  const wish = [FACTS.metric, FACTS.metric.replace(/^test\//, "valid/"), "valid/loss"];
  fillSelect("curve-metric", [...names].sort(collator.compare), wish.find((name) => names.includes(name)));
  const drawable = FACTS.runs.map((_, run) => run).filter((run) => curvesData().runs[run]);
  choose(drawable.slice(0, FACTS.detailed));
  const best = document.getElementById("choose-best");
  best.textContent = drawable.length > FACTS.detailed ? `the best ${FACTS.detailed}` : "all";
  best.addEventListener("click", () => choose(drawable.slice(0, FACTS.detailed)));
  document.getElementById("choose-none").addEventListener("click", () => choose([]));
  const shown = document.getElementById("choose-shown");
  shown.textContent = runCount > FACTS.detailed ? `the first ${FACTS.detailed} in the table` : "those in the table";
  shown.addEventListener("click", () => choose(state.shown.slice(0, FACTS.detailed)));
  curveMetric.addEventListener("change", () => stale("curves"));
  curveLog.addEventListener("change", () => stale("curves"));
  chart("curves", drawCurves, "chosen");
}

function choose(runs) {
  state.chosen = new Set(runs);
  tell("chosen");
}

// A colour per chosen run: its own where few are chosen, else by rank from best to worst.
function chosenColours() {
  const runs = [...state.chosen].sort((one, other) => one - other); // numbers are ranks
  const few = runs.length <= CATEGORIES.length;
  return new Map(runs.map((run, place) => [run, few ? CATEGORIES[place] : scaleColour(place / (runs.length - 1))]));
}

function drawCurves() {
  const { metrics, runs } = curvesData();
  const place = metrics.indexOf(curveMetric.value);
  const traces = [];
  for (const [run, colour] of chosenColours()) {
    const y = runs[run]?.of[place];
    if (y) traces.push(curve(run, colour, runs[run].epoch, y));
  }
  const without = state.chosen.size - traces.length;
  const ranked = state.chosen.size > CATEGORIES.length ? `; colours go by rank in ${FACTS.metric}, the best ${dark.matches ? "brightest" : "darkest"}` : "";
  say("curve-note", traces.length ? `${count(traces.length, ONE, MANY)}${ranked}${without ? `; ${without} more without such a curve in this page` : ""}` : "");
  if (!metrics.length) return emptyChart("curves", "No run has a history to draw.");
  if (!state.chosen.size) return emptyChart("curves", "No run is chosen: click on rows of the table.");
  if (!traces.length) return emptyChart("curves", `None of the chosen runs has a curve of ${curveMetric.value} in this page.`);
  traces.reverse(); // the best one on top
  return plot("curves", traces, {
    height: 430,
    showlegend: traces.length <= LEGEND,
    legend: { font: { size: 11 }, traceorder: "reversed" },
    hovermode: "closest",
    xaxis: axis("epoch", { tickformat: "d" }),
    yaxis: axis(curveMetric.value, { type: curveLog.checked ? "log" : "linear", exponentformat: "power" }),
  });
}

function curve(run, colour, x, y) {
  const name = escaped(FACTS.runs[run]);
  return {
    type: "scatter",
    mode: x.length === 1 ? "markers" : "lines",
    name: escaped(clipped(FACTS.runs[run], 48)),
    x,
    y,
    line: { color: colour, width: 1.6 },
    marker: { color: colour, size: 7 },
    hovertemplate: `${name}<br>epoch %{x}: %{y:.5g}<extra></extra>`,
  };
}
