// Which keys the metric depends on, as a random forest sees it; computed when the page was written.

const MOST_BARS = 20;
const importanceMetric = document.getElementById("importance-metric");

function startImportance() {
  const names = Object.keys(FACTS.importance);
  fillSelect("importance-metric", names, FACTS.metric);
  importanceMetric.addEventListener("change", () => stale("importance"));
  chart("importance", drawImportance);
}

function drawImportance() {
  const found = FACTS.importance[importanceMetric.value];
  if (!found || found.why) {
    say("importance-note", "");
    return emptyChart("importance", found?.why ?? `No run has ${FACTS.metric}.`);
  }
  const shown = Math.min(found.keys.length, MOST_BARS);
  const trust = found.r2 <= 0
    ? "these keys don't foretell the metric, so the bars mean nothing"
    : found.r2 < 0.3
      ? "the keys foretell little of the metric; take the bars as hints"
      : "the nearer to 1, the more the bars can be believed";
  const cut = shown < found.keys.length ? ` The first ${shown} of ${found.keys.length} keys.` : "";
  say("importance-note", `Random forest over ${found.runs} complete ${MANY}; R² on ${MANY} that a tree hasn't seen (out of bag): ${found.r2.toFixed(2)}: ${trust}.${cut}`);
  const take = (name) => found[name].slice(0, shown).reverse();
  const trace = {
    type: "bar",
    orientation: "h",
    y: take("keys").map((key) => escaped(clipped(key, 36))),
    x: take("mean"),
    error_x: { type: "data", array: take("spread"), color: themeColour("muted"), thickness: 1, width: 3 },
    marker: { color: found.r2 <= 0 ? themeColour("dull") : themeColour("accent") },
    hovertemplate: "%{y}: %{x:.3f} ± %{error_x.array:.3f}<extra></extra>",
  };
  return plot("importance", [trace], {
    height: 90 + 26 * Math.max(shown, 3),
    bargap: 0.35,
    xaxis: axis("R² lost when the key's values are shuffled", { rangemode: "tozero" }),
    yaxis: axis("", { type: "category" }),
  });
}
