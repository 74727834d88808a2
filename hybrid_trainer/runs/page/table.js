// The table: of thousands of rows only those in sight are in the document.

const ROW = 30; // px, as in style.css
const SPARE = 10;
const LONGEST = 44; // letters of a cell
const pane = document.getElementById("table");
const body = element("tbody");

function startTable() {
  const widths = COLUMNS.map(width);
  const columns = [86, ...widths].map((size) => {
    const column = element("col");
    column.style.width = `${size}px`;
    return column;
  });
  const heads = COLUMNS.map(head);
  const first = element("th", { scope: "col" }, [element("span", { className: "hint", textContent: " curves" })]);
  const table = element("table", {}, [
    element("colgroup", {}, columns),
    element("thead", {}, [element("tr", {}, [first, ...heads])]),
    body,
  ]);
  table.style.width = `${widths.reduce((sum, size) => sum + size, 86)}px`;
  pane.append(table);
  pane.addEventListener("scroll", () => requestAnimationFrame(drawRows), { passive: true });
  new ResizeObserver(drawRows).observe(pane);
  body.addEventListener("click", clicked);
  document.getElementById("filter").addEventListener("input", chooseRows);
  statusButtons();
  document.addEventListener("shown", () => {
    say("count", state.shown.length < runCount ? `${state.shown.length.toLocaleString("en")} of ${count(runCount, ONE, MANY)}` : "");
    pane.scrollTop = 0;
    drawRows();
  });
  document.addEventListener("chosen", drawRows);
  document.addEventListener("compared", drawRows);
}

function width(column) {
  const longest = FACTS.runs.reduce((most, _, run) => Math.max(most, column.text(run).length), 4);
  const head = Math.min(column.name.length, Math.max(14, column.name.length / 2)); // long names take two lines
  return Math.round(Math.max(Math.min(longest, LONGEST), head) * 8.4) + 28; // px of a wide letter, and room for the arrow
}

function head(column) {
  const button = element("button", { type: "button", textContent: column.name.replaceAll(/([./_])/g, "$1\u200b"), title: `sort by ${column.name}` });
  button.addEventListener("click", () => sortBy(column));
  column.head = element("th", { scope: "col", className: column.number ? "number" : "" }, [button]);
  return column.head;
}

// First what is better or smaller at the top, then the reverse, then the page's own order.
function sortBy(column) {
  const rising = FACTS.headlines.includes(column.name) && !falling.has(column.name);
  if (order.column !== column) Object.assign(order, { column, descending: rising });
  else if (order.descending === rising) order.descending = !rising;
  else order.column = null;
  for (const other of COLUMNS) other.head.removeAttribute("aria-sort");
  if (order.column) column.head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
  chooseRows();
}

function statusButtons() {
  const counts = new Map();
  for (const status of FACTS.status) counts.set(status, (counts.get(status) ?? 0) + 1);
  const place = document.getElementById("statuses");
  for (const [status, number] of [...counts].sort()) {
    const button = element("button", { type: "button", className: `status ${status}`, textContent: `${status} ${number}`, title: `show or hide what is ${status}` });
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      const hidden = hiddenStatuses.delete(status) ? false : Boolean(hiddenStatuses.add(status));
      button.setAttribute("aria-pressed", String(!hidden));
      chooseRows();
    });
    place.append(button);
  }
}

function drawRows() {
  const first = Math.max(0, Math.floor(pane.scrollTop / ROW) - SPARE);
  const last = Math.min(state.shown.length, first + Math.ceil(pane.clientHeight / ROW) + 2 * SPARE);
  const colours = chosenColours();
  const rows = state.shown.slice(first, last).map((run) => tableRow(run, colours));
  if (!state.shown.length) rows.push(element("tr", {}, [element("td", { className: "empty", colSpan: COLUMNS.length + 1, textContent: "No run is like this; change the filter." })]));
  const focused = focusedControl();
  body.replaceChildren(space(first), ...rows, space(state.shown.length - last));
  focused?.();
}

// Rows are made anew; who goes through them with the keyboard stays where they are.
function focusedControl() {
  const row = document.activeElement.closest("#table tr.row");
  if (!row) return null;
  const place = [...row.querySelectorAll(".pick > *")].indexOf(document.activeElement);
  return () => body.querySelector(`tr[data-run="${row.dataset.run}"]`)?.querySelectorAll(".pick > *")[place]?.focus({ preventScroll: true });
}

function space(rows) {
  const cell = element("td", { colSpan: COLUMNS.length + 1 });
  cell.style.height = `${Math.max(rows, 0) * ROW}px`;
  return element("tr", { className: "space" }, [cell]);
}

function tableRow(run, colours) {
  const box = element("input", { type: "checkbox", checked: state.chosen.has(run), title: "draw its curves" });
  if (colours.has(run)) box.style.accentColor = colours.get(run);
  const pick = element("td", { className: "pick" }, [box, pickButton(run, "a"), pickButton(run, "b")]);
  const cells = COLUMNS.map((column) => {
    const shown = column.text(run);
    const cell = element("td", { className: column.number ? "number" : "", textContent: shown, title: column.name === "run" ? FACTS.runs[run] : shown });
    if (column.name === "status") cell.classList.add("status", FACTS.status[run]);
    return cell;
  });
  const row = element("tr", { className: "row" }, [pick, ...cells]);
  row.dataset.run = run;
  return row;
}

function pickButton(run, side) {
  const button = element("button", { type: "button", textContent: side.toUpperCase(), title: `compare its config, as ${side.toUpperCase()}` });
  button.dataset.side = side;
  button.setAttribute("aria-pressed", String(state[side] === run));
  return button;
}

function clicked(event) {
  const row = event.target.closest("tr.row");
  if (!row) return;
  const run = Number(row.dataset.run);
  const side = event.target.dataset.side;
  if (side) {
    state[side] = state[side] === run ? null : run;
    tell("compared");
    return;
  }
  if (!state.chosen.delete(run)) state.chosen.add(run);
  tell("chosen");
}
