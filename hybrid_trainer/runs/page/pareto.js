// Two objectives at a time; the front is that of all of them, computed when the page was written.

const paretoX = document.getElementById("pareto-x");
const paretoY = document.getElementById("pareto-y");

function startPareto() {
  document.getElementById("pareto-section").hidden = FACTS.objectives.length < 2;
  if (FACTS.objectives.length < 2) return;
  fillSelect("pareto-x", FACTS.objectives, FACTS.objectives[0]);
  fillSelect("pareto-y", FACTS.objectives, FACTS.objectives[1]);
  for (const select of [paretoX, paretoY]) select.addEventListener("change", () => stale("pareto"));
  chart("pareto", drawPareto);
}

function drawPareto() {
  const [x, y] = [paretoX.value, paretoY.value];
  const runs = FACTS.runs.map((_, run) => run).filter((run) => FACTS.status[run] === "complete" && FACTS.objectives.every((name) => metricValue(run, name) !== undefined));
  if (!runs.length) {
    say("pareto-note", "");
    return emptyChart("pareto", "No complete run has all objectives.");
  }
  const front = new Set(FACTS.front);
  say("pareto-note", `${count(front.size, ONE, MANY)} of ${runs.length} on the front of ${FACTS.objectives.join(", ")}: none beats them in everything.`);
  const ordered = [...front].sort((one, other) => metricValue(one, x) - metricValue(other, x));
  const line = FACTS.objectives.length === 2 && x !== y; // of more objectives the front is no line
  return plot("pareto", [
    points(runs.filter((run) => !front.has(run)), x, y, { name: "others", mode: "markers", marker: { color: themeColour("dull"), size: 6, opacity: 0.55 } }),
    points(ordered, x, y, { name: "on the front", mode: line ? "lines+markers" : "markers", line: { color: themeColour("bad"), width: 1.5, shape: "linear" }, marker: { color: themeColour("bad"), size: 9 } }),
  ], {
    height: 380,
    hovermode: "closest",
    legend: { orientation: "h", y: 1.1 },
    xaxis: axis(`${x} (${falling.has(x) ? "smaller" : "greater"} is better)`),
    yaxis: axis(`${y} (${falling.has(y) ? "smaller" : "greater"} is better)`),
  });
}

function points(runs, x, y, more) {
  return {
    type: "scatter",
    x: runs.map((run) => metricValue(run, x)),
    y: runs.map((run) => metricValue(run, y)),
    text: runs.map((run) => escaped(FACTS.runs[run])),
    hovertemplate: "%{text}<br>%{x:.5g}, %{y:.5g}<extra></extra>",
    ...more,
  };
}
