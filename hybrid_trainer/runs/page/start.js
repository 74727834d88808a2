// Everything that needs no charting library is there before that is read.

function startPage() {
  const complete = FACTS.status.filter((status) => status === "complete").length;
  const where = FACTS.root ? ` below ${FACTS.root}` : "";
  const aside = FACTS.aside.length ? ` (means over ${FACTS.aside.join(", ")})` : "";
  say("summary", `${count(runCount, ONE, MANY)}${aside}${where}, ${complete} of them complete; best ${FACTS.metric} (${falling.has(FACTS.metric) ? "smaller" : "greater"} is better) first.`);
  startTable();
  chooseRows();
  startDiff();
  startCurves();
  startParallel();
  startImportance();
  startPareto();
  startCharts();
}

startPage();
