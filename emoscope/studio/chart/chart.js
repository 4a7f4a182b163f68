// Draws runs as points, like beside like. `value` is {file, count, kind, of}; the file holds rows of `past`, each with its
// x, y and cluster. It triggers "hear" and "show" with a run, "side" with what is to be compared, and "arrange".
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make } = window.emoscope;
const locale = document.documentElement.lang;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));
const plot = find(".plot");
const canvas = find(".picture");
const SILENT = "#9a9a9a";
// Eight clusters, the largest first, on light and on dark ground; no emotion has to be thought of.
const HUES = ["#1b8a80", "#d1662b", "#6f63c9", "#c23e79", "#6a9a1f", "#c79a1b", "#3d7fc4", "#8a6a55"];
const MARGIN = 28; // pixels around the points
const REACH = 22; // pixels from a point in which it is meant
const LARGEST = 1000; // points; there are no more of them
let points = []; // rows, with `at` in pixels
let here = -1;
let colour = "cluster";
let kind = "pca";
let turn = 0;
let last = null; // the click before: {place, time}, for a second one opens

const radius = () => (points.length > 400 ? 4.5 : points.length > 100 ? 5.5 : 7);

const hueOf = (point) => (colour === "cluster" ? HUES[point.cluster % HUES.length] : point.silent ? SILENT : emotions.get(point.emotion).colour);
const titleOf = (point) => (point.silent ? say("verdict.silence") : emotions.get(point.emotion).title[language]);
const signOf = (point) => (point.silent ? "🔇" : emotions.get(point.emotion).emoji);

/** Put the points into the plot, as large as fits, x and y on the same scale. */
function lay() {
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((width - 2 * MARGIN) / (right - left || 1), (height - 2 * MARGIN) / (high - low || 1));
  for (const point of points) {
    point.at = [width / 2 + scale * (point.x - (left + right) / 2), height / 2 - scale * (point.y - (low + high) / 2)];
  }
}

function redraw() {
  if (!element.isConnected || !points.length || !plot.clientWidth) return;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(plot);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.lineWidth = 1;
  pen.strokeStyle = style.backgroundColor;
  for (const point of points) {
    pen.globalAlpha = 0.88;
    pen.fillStyle = hueOf(point);
    pen.beginPath();
    pen.arc(...point.at, radius(), 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
  pen.globalAlpha = 1;
  const point = points[here];
  if (!point) return;
  pen.fillStyle = hueOf(point);
  pen.strokeStyle = style.color;
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.arc(...point.at, radius() + 4, 0, 2 * Math.PI);
  pen.fill();
  pen.stroke();
}

const facts = (point) => {
  const found = [signOf(point) + " " + titleOf(point) + (point.silent ? "" : " " + Math.round(100 * point.confidence) + "%"), point.length];
  if (colour === "cluster") found.push(say("history.chart_cluster", { number: point.cluster + 1 }));
  return found.filter(Boolean).join(" · ");
};

function look(place) {
  if (place === here) return;
  here = place;
  plot.classList.toggle("over", here >= 0);
  redraw();
  const [tip, point] = [find(".tip"), points[here]];
  tip.hidden = !point;
  if (!point) return;
  tip.querySelector("strong").textContent = point.name;
  tip.querySelector("span").textContent = facts(point);
  const [x, y] = point.at;
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  tip.style.left = Math.max(6, Math.min(plot.clientWidth - width - 6, x - width / 2)) + "px";
  tip.style.top = (y - height - 16 > 4 ? y - height - 16 : y + 18) + "px";
}

/** Return the place of the point nearest to a position of the pointer, or -1. */
function near(event) {
  const box = plot.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let [best, least] = [-1, REACH];
  points.forEach(({ at }, place) => {
    const far = Math.hypot(at[0] - x, at[1] - y);
    if (far < least) [best, least] = [place, far];
  });
  return best;
}

/** Return the nearest point in a direction, within 45 degrees of it if there is one. */
function beyond([dx, dy]) {
  if (here < 0) return points.length ? 0 : -1;
  const [x, y] = points[here].at;
  let [best, least] = [here, Infinity];
  points.forEach(({ at }, place) => {
    const along = (at[0] - x) * dx + (at[1] - y) * dy;
    const aside = Math.abs((at[0] - x) * dy) + Math.abs((at[1] - y) * dx);
    if (place === here || along <= 0) return;
    const cost = along + (aside > along ? 8 : 2) * aside;
    if (cost < least) [best, least] = [place, cost];
  });
  return best;
}

function hear() {
  const point = points[here];
  if (point?.sounds) trigger("hear", { id: point.id });
  else open(); // a text has no sound
}

function open() {
  if (points[here]?.here) trigger("show", { id: points[here].id });
}

plot.addEventListener("pointermove", (event) => event.pointerType !== "touch" && look(near(event)));
plot.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && look(-1));
plot.addEventListener("click", (event) => {
  look(near(event));
  if (here < 0) return;
  const again = last && last.place === here && event.timeStamp - last.time < 400;
  last = { place: here, time: event.timeStamp };
  if (again) open();
  else hear();
});
plot.addEventListener("blur", () => look(-1));
plot.addEventListener("keydown", (event) => {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in ways) {
    look(beyond(ways[event.key]));
    if (points[here]) find(".told").textContent = points[here].name + ", " + facts(points[here]);
  } else if (event.key === "Enter" || event.key === " ") hear();
  else if (event.key.toLowerCase() === "o") open();
  else return;
  event.preventDefault();
});

// The legend and the switches ---------------------------------------------------------------------------------------

function legendOf() {
  const counts = new Map();
  if (colour === "cluster") {
    for (const { cluster } of points) counts.set(cluster, (counts.get(cluster) ?? 0) + 1);
    const numbers = [...counts.keys()].sort((a, b) => a - b);
    return numbers.map((number) => [HUES[number % HUES.length], say("history.chart_cluster_of", { number: number + 1, count: counts.get(number) })]);
  }
  for (const point of points) counts.set(titleOf(point), { hue: hueOf(point), count: (counts.get(titleOf(point))?.count ?? 0) + 1 });
  return [...counts].sort(([, a], [, b]) => b.count - a.count).map(([title, { hue, count }]) => [hue, title + " " + count]);
}

function showLegend() {
  const entries = legendOf().map(([hue, text]) => {
    const mark = make("i", "mark");
    mark.style.background = hue;
    const item = make("li", "");
    item.append(mark, text);
    return item;
  });
  find(".legend").replaceChildren(...entries);
}

function showKind() {
  const newest = points.length >= LARGEST ? " " + say("history.chart_newest", { count: points.length.toLocaleString(locale) }) : "";
  find(".kind").textContent = say("history.chart_kind_" + kind) + newest;
  find(".arrange").disabled = kind === "tsne" || points.length < 4;
}

for (const name of ["of", "colour"]) {
  for (const input of element.querySelectorAll(`.${name} input`)) input.name = `chart-${name}`;
}
find(".colour").addEventListener("change", (event) => {
  colour = event.target.value;
  showLegend();
  redraw();
});
find(".of").addEventListener("change", (event) => trigger("side", { of: event.target.value }));
find(".arrange").addEventListener("click", () => {
  find(".arrange").disabled = true;
  trigger("arrange", {});
});

// Loading -----------------------------------------------------------------------------------------------------------

async function load() {
  const mine = ++turn;
  const value = props.value;
  find(".card").hidden = !value;
  points = [];
  look(-1);
  if (!value) return;
  find("h2").textContent = say(value.of === "text" ? "history.chart_title_text" : "history.chart_title");
  for (const input of element.querySelectorAll(".of input")) input.checked = input.value === value.of;
  const found = await fetch(value.file.url).then((answer) => answer.json()).catch(() => null);
  if (mine !== turn || !element.isConnected) return;
  find(".nothing").hidden = Boolean(found?.length);
  find(".drawn").hidden = !found?.length;
  find(".nothing").textContent = say(found ? "history.chart_none" : "history.trouble");
  points = found ?? [];
  kind = value.kind;
  if (!points.length) return;
  lay();
  showLegend();
  showKind();
  redraw();
  element.dataset.ready = String(turn);
}

new ResizeObserver(() => {
  if (!points.length || !plot.clientWidth) return;
  lay();
  redraw();
}).observe(plot);
fill(element);
watch("value", load);
load();
