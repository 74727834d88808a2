// What all charts share: they are drawn when they come into sight, in the colours of the page, light or dark.

const charts = new Map(); // id -> {draw, stale, visible, timer}
const PAUSE = 60; // ms: who types a filter waits for no chart between two letters
const dark = matchMedia("(prefers-color-scheme: dark)");
const CATEGORIES = ["#3b78d8", "#e07b27", "#2a9d6a", "#c9423a", "#8757c2", "#8c6239", "#d05fa6", "#7f8791", "#a3a11f", "#1ba6b8"];
const SCALE = ["#440154", "#433982", "#30678d", "#218f8b", "#36b677", "#8ed542", "#d9d62b"]; // viridis, but for its palest end
const DARK_SCALE = ["#f0e442", "#a5d94a", "#4cc281", "#2aa8a0", "#4f8fc4", "#7a72d6"];

// plotly has a button that uploads a chart; this page sends nothing anywhere.
const PLOTLY = {
  displaylogo: false,
  responsive: true,
  displayModeBar: "hover",
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["sendChartToCloud", "lasso2d", "select2d"],
};

// plotly is half the page, and its own start takes longer than everything else: it begins when the table has been seen.
function startCharts() {
  addEventListener("load", () => setTimeout(loadPlotly, 100));
}

function loadPlotly() {
  const text = document.getElementById("plotly-source").textContent;
  const script = element("script", { src: URL.createObjectURL(new Blob([text], { type: "text/javascript" })) });
  script.addEventListener("load", observeCharts);
  document.head.append(script);
}

function chart(id, draw, ...events) {
  charts.set(id, { draw, stale: true, visible: false });
  for (const event of events) document.addEventListener(event, () => stale(id));
}

function stale(id) {
  const one = charts.get(id);
  one.stale = true;
  clearTimeout(one.timer);
  one.timer = setTimeout(() => one.visible && drawChart(one), PAUSE);
}

function drawChart(one) {
  if (!one.stale || !window.Plotly) return;
  one.stale = false;
  one.draw();
}

function observeCharts() {
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const one = charts.get(entry.target.id);
      one.visible = entry.isIntersecting;
      if (one.visible) drawChart(one);
    }
  }, { rootMargin: "200px" });
  for (const id of charts.keys()) observer.observe(document.getElementById(id));
  dark.addEventListener("change", () => {
    for (const id of charts.keys()) stale(id);
    drawRows();
  });
}

function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function axis(title, more = {}) {
  const line = themeColour("line");
  return { title: { text: escaped(title) }, gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, ...more };
}

function layout(more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, -apple-system, 'Segoe UI', sans-serif", size: 12, color: themeColour("ink") },
    hoverlabel: { bgcolor: themeColour("panel"), bordercolor: themeColour("line"), font: { color: themeColour("ink") }, align: "left", namelength: -1 },
    margin: { l: 60, r: 20, t: 34, b: 48 },
    legend: { font: { size: 11 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: themeColour("muted"), activecolor: themeColour("ink") },
    ...more,
  };
}

function plot(id, traces, more) {
  const place = document.getElementById(id);
  if (!place.classList.contains("js-plotly-plot")) place.replaceChildren(); // words of an empty chart
  Plotly.react(place, traces, layout(more), PLOTLY);
}

function emptyChart(id, words) {
  const place = document.getElementById(id);
  Plotly.purge(place);
  place.replaceChildren(element("p", { className: "empty", textContent: words }));
}

// A colour from the scale for 0 (best, it stands out) to 1 (worst).
function scaleColour(part) {
  const stops = scaleStops();
  const place = Math.min(Math.max(part, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const mixed = [1, 3, 5].map((digit) => {
    const [from, to] = [stops[low], stops[low + 1]].map((stop) => parseInt(stop.slice(digit, digit + 2), 16));
    return Math.round(from + (to - from) * (place - low));
  });
  return `rgb(${mixed.join(",")})`;
}

function scaleStops() {
  return dark.matches ? DARK_SCALE : SCALE;
}

// plotly reads tags in its texts; names of runs have none.
function escaped(words) {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function clipped(words, most) {
  return words.length > most ? `…${words.slice(words.length - most + 1)}` : words;
}
