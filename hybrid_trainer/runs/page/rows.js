// Columns of the table, and which runs it shows in which order.

const COLUMNS = [
  { name: "run", number: false, value: (run) => FACTS.runs[run] },
  { name: "status", number: false, value: (run) => FACTS.status[run] },
  ...FACTS.headlines.map((name) => ({ name, number: true, value: (run) => metricValue(run, name) })),
  ...FACTS.keys.map((name) => ({
    name,
    number: (FACTS.config[name]?.values ?? []).every((value) => typeof value === "number"),
    value: (run) => configValue(run, name),
  })),
  ...(FACTS.why.some(Boolean) ? [{ name: "why", number: false, value: (run) => FACTS.why[run] || undefined }] : []),
];
for (const column of COLUMNS) {
  const metric = FACTS.headlines.includes(column.name);
  column.text = metric ? (run) => metricText(run, column.name) : (run) => text(column.value(run));
}

const order = { column: null, descending: false }; // no column: the best first
const hiddenStatuses = new Set();
const haystacks = FACTS.runs.map((_, run) => COLUMNS.map((column) => column.text(run)).join("\n").toLowerCase());
const collator = new Intl.Collator("en", { numeric: true });

const TESTS = {
  "<": (one, other) => one < other,
  "<=": (one, other) => one <= other,
  ">": (one, other) => one > other,
  ">=": (one, other) => one >= other,
  "=": (one, other) => one === other,
  "!=": (one, other) => one !== other,
};

// A word of the filter as a test of a run: key>=64 compares a column or any key or metric, anything else is looked for in the row.
function term(word) {
  const parts = /^([^<>=!]+)(<=|>=|!=|<|>|=)(.+)$/.exec(word);
  const column = parts && columnNamed(parts[1]);
  if (!column) {
    const small = word.toLowerCase();
    return (run) => haystacks[run].includes(small);
  }
  const number = Number(parts[3]);
  return (run) => {
    const value = column(run);
    if (value === undefined) return parts[2] === "!=";
    if (typeof value === "number" && !Number.isNaN(number)) return TESTS[parts[2]](value, number);
    return TESTS[parts[2]](text(value).toLowerCase(), parts[3].toLowerCase());
  };
}

// The values of what a name, or its end after a dot or slash, belongs to: a column first, then any key, then any metric.
function columnNamed(name) {
  const ends = (whole) => whole === name || whole.endsWith(`.${name}`) || whole.endsWith(`/${name}`);
  const column = COLUMNS.find((one) => one.name === name) ?? COLUMNS.find((one) => ends(one.name));
  if (column) return column.value;
  const key = [...Object.keys(FACTS.config), ...Object.keys(FACTS.same)].find(ends);
  if (key) return (run) => configValue(run, key);
  const metric = Object.keys(FACTS.metrics).find(ends);
  return metric && ((run) => metricValue(run, metric));
}

function chooseRows() {
  const tests = document.getElementById("filter").value.split(/\s+/).filter(Boolean).map(term);
  const shown = [];
  for (let run = 0; run < runCount; run++) {
    if (!hiddenStatuses.has(FACTS.status[run]) && tests.every((test) => test(run))) shown.push(run);
  }
  state.shown = order.column ? sorted(shown) : shown;
  tell("shown");
}

// What is missing comes last in both directions; numbers come before texts.
function sorted(runs) {
  const { column, descending } = order;
  const sign = descending ? -1 : 1;
  const keys = new Map(runs.map((run) => [run, column.value(run)]));
  return runs.sort((one, other) => {
    const [a, b] = [keys.get(one), keys.get(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || one - other;
    const [x, y] = [typeof a === "number", typeof b === "number"];
    const difference = x && y ? a - b : x !== y ? y - x : collator.compare(text(a), text(b));
    return sign * difference || one - other;
  });
}
