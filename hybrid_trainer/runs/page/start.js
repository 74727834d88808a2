// Everything that needs no charting library is there before that is read.

function startPage() {
  const complete = FACTS.status.filter((status) => status === "complete").length;
  const where = FACTS.root ? ` below ${FACTS.root}` : "";
  say("summary", `${count(runCount, "run", "runs")}${where}, ${complete} of them complete; best ${FACTS.metric} (${falling.has(FACTS.metric) ? "smaller" : "greater"} is better) first.`);
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
