// What differs between the runs A and B: keys first, then metrics.

const diffPlace = document.getElementById("diff");

function startDiff() {
  document.addEventListener("compared", drawDiff);
  drawDiff();
}

function drawDiff() {
  const { a, b } = state;
  if (a === null || b === null || a === b) {
    const words = runCount < 2 ? "It takes two runs to compare." : "Pick two runs: A on one row of the table, B on another.";
    diffPlace.replaceChildren(element("p", { className: "empty", textContent: words }));
    return;
  }
  const keys = Object.keys(FACTS.config).filter((key) => FACTS.config[key].of[a] !== FACTS.config[key].of[b]);
  const alike = [...Object.keys(FACTS.same), ...Object.keys(FACTS.config)].filter((key) => !keys.includes(key) && configValue(a, key) !== undefined).sort();
  const unreadable = [a, b].filter((run) => !FACTS.readable[run]);
  const words = unreadable.length
    ? `${unreadable.map((run) => FACTS.runs[run]).join(" and ")}: no config can be read there.`
    : `${count(keys.length, "key differs", "keys differ")}, ${alike.length} are the same (paths and names aside).`;
  diffPlace.replaceChildren(
    element("p", { className: "hint", textContent: words }),
    keyTable(keys, a, b),
    ...metricTables(a, b),
    element("details", {}, [element("summary", { textContent: `${count(alike.length, "key is", "keys are")} the same` }), keyTable(alike, a, b)]),
  );
}

function keyTable(keys, a, b) {
  const rows = keys.map((key) => [key, ...[a, b].map((run) => {
    const value = configValue(run, key);
    return value === undefined ? "–" : text(value);
  })]);
  return diffTable(["key", `A: ${FACTS.runs[a]}`, `B: ${FACTS.runs[b]}`], rows);
}

function metricTables(a, b) {
  const names = Object.keys(FACTS.metrics).filter((name) => metricValue(a, name) !== undefined || metricValue(b, name) !== undefined);
  const telling = (name) => FACTS.headlines.includes(name) || name.startsWith("test/");
  const first = [...names.filter((name) => FACTS.headlines.includes(name)), ...names.filter((name) => telling(name) && !FACTS.headlines.includes(name))];
  const others = names.filter((name) => !telling(name));
  const words = count(others.length, "further metric", "further metrics");
  return [metricTable(first, a, b), element("details", { hidden: !others.length }, [element("summary", { textContent: words }), metricTable(others, a, b)])];
}

function metricTable(names, a, b) {
  const table = diffTable(["metric", "A", "B", "B − A"], names.map((name) => {
    const [x, y] = [metricValue(a, name), metricValue(b, name)];
    return [name, short(x), short(y), x === undefined || y === undefined ? "–" : short(y - x)];
  }), "number");
  names.forEach((name, place) => {
    const [x, y] = [metricValue(a, name), metricValue(b, name)];
    if (x === undefined || y === undefined || x === y || FACTS.undirected.includes(name) || !/^(train|valid|test)\//.test(name)) return;
    table.tBodies[0].rows[place].cells[y < x === falling.has(name) ? 2 : 1].classList.add("better");
  });
  return table;
}

function diffTable(heads, rows, kind = "") {
  const cell = (words, place) => element(place ? "td" : "th", { textContent: words, className: place ? kind : "" });
  return element("table", { hidden: !rows.length }, [
    element("thead", {}, [element("tr", {}, heads.map((head, place) => element("th", { scope: "col", textContent: head, className: place ? kind : "" })))]),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell)))),
  ]);
}
