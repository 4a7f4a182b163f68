// Draws how verdicts, confidence and latency were, day by day. `value` is {file}, whose days are [day, runs, how many of
// them are silent, nine shares, median confidence or null, median latency]. It triggers "day" with the one that is chosen.
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make } = window.emoscope;
const locale = document.documentElement.lang;
const plot = find(".plot");
const picture = find(".picture");
const DAY = 86_400_000; // milliseconds
const NARROW = 2; // pixels; where a calendar's days would be narrower, those without runs are left out
const WIDEST = 64; // pixels of a day's bar
const SHARES = { top: 26, height: 190 };
const LINES = [
  { key: "confidence", top: 264, height: 50, title: "history.trends_confidence" },
  { key: "latency", top: 358, height: 50, title: "history.trends_latency" },
];
const BOTTOM = 438; // where the days are written
const LEFT = 46;
let days = []; // {day, date, runs, silent, shares, confidence, latency, slot}
let slots = 1; // places on the axis
let here = -1; // the day that is looked at
let turn = 0;

const dated = new Intl.DateTimeFormat(locale, { year: "numeric", month: "short", day: "numeric", timeZone: "UTC" });
const short = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", timeZone: "UTC" });
const monthly = new Intl.DateTimeFormat(locale, { year: "numeric", month: "short", timeZone: "UTC" });
const percent = (share) => Math.round(100 * share) + "%";
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const lasted = (seconds) => say("history.trends_seconds", { count: seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(0) });
const counted = (count) => (count === 1 ? say("history.one") : say("history.count", { count: count.toLocaleString(locale) }));

function draw(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const width = () => picture.clientWidth || plot.clientWidth || 300;
const pace = () => (width() - LEFT) / slots; // pixels of a place on the axis
const middle = (day) => LEFT + (day.slot + 0.5) * pace();

/** Give every day its place: that of the calendar, or the next one where the calendar is too long. */
function arrange() {
  const span = days.length ? Math.round((days.at(-1).date - days[0].date) / DAY) + 1 : 1;
  const calendar = (width() - LEFT) / span >= NARROW;
  slots = calendar ? span : days.length;
  days.forEach((day, place) => (day.slot = calendar ? Math.round((day.date - days[0].date) / DAY) : place));
  find(".note").textContent = calendar || span === days.length ? "" : say("history.trends_gaps");
}

function bars() {
  const nodes = [];
  const gap = pace() > 6 ? 2 : pace() > 3 ? 1 : 0;
  const wide = Math.max(0.75, Math.min(WIDEST, pace() - gap));
  for (const day of days) {
    const x = (middle(day) - wide / 2).toFixed(2);
    let y = SHARES.top + SHARES.height;
    if (day.runs === day.silent) nodes.push(draw("rect", { class: "empty", x, y: SHARES.top, width: wide, height: SHARES.height }));
    props.emotions.forEach((emotion, place) => {
      const height = day.shares[place] * SHARES.height;
      if (!height) return;
      y -= height;
      nodes.push(draw("rect", { x, y: y.toFixed(2), width: wide.toFixed(2), height: height.toFixed(2), fill: emotion.colour }));
    });
  }
  return nodes;
}

/** Return [value of the line's top, what stands beside it]. */
function scale(key) {
  if (key === "confidence") return [1, "100%"];
  const most = Math.max(...days.map((day) => day.latency), 0.01);
  const step = 10 ** Math.floor(Math.log10(most));
  const top = [1, 2, 5, 10].map((times) => times * step).find((each) => each >= most);
  return [top, say("history.trends_seconds", { count: Number(top.toPrecision(1)) })];
}

function curve({ key, top, height, title }) {
  const [most, label] = scale(key);
  const known = days.filter((day) => day[key] !== null);
  const at = (day) => top + height * (1 - day[key] / most);
  const nodes = [
    draw("text", { class: "title", x: 0, y: top - 14 }, say(title)),
    draw("text", { x: LEFT - 8, y: top + 4, "text-anchor": "end" }, label),
    draw("text", { x: LEFT - 8, y: top + height + 4, "text-anchor": "end" }, "0"),
    draw("line", { class: "rule", x1: LEFT, x2: width(), y1: top + height, y2: top + height }),
    draw("line", { class: "rule", x1: LEFT, x2: width(), y1: top, y2: top }),
  ];
  if (known.length > 1) nodes.push(draw("path", { class: "line", d: "M" + known.map((day) => middle(day).toFixed(1) + " " + at(day).toFixed(1)).join("L") }));
  if (pace() > 14 || known.length === 1) nodes.push(...known.map((day) => draw("circle", { class: "dot", cx: middle(day), cy: at(day), r: 3 })));
  const day = days[here];
  if (day && day[key] !== null) nodes.push(draw("circle", { class: "here", cx: middle(day), cy: at(day), r: 5 }));
  return nodes;
}

function axis() {
  const nodes = [
    draw("text", { class: "title", x: 0, y: 12 }, say("history.trends_shares")),
    draw("text", { x: LEFT - 8, y: SHARES.top + 10, "text-anchor": "end" }, "100%"),
    draw("text", { x: LEFT - 8, y: SHARES.top + SHARES.height, "text-anchor": "end" }, "0"),
    draw("line", { class: "rule", x1: LEFT, x2: width(), y1: SHARES.top + SHARES.height, y2: SHARES.top + SHARES.height }),
  ];
  let last = -Infinity;
  const form = slots > 200 ? monthly : short;
  let before = "";
  for (const day of days) {
    const text = form.format(day.date);
    const x = clamp(middle(day), LEFT + 24, width() - 24);
    if (text === before || x - last < 84) continue;
    nodes.push(draw("text", { x, y: BOTTOM, "text-anchor": "middle" }, text));
    [last, before] = [x, text];
  }
  return nodes;
}

function cursor() {
  const day = days[here];
  if (!day) return [];
  const wide = Math.max(3, Math.min(WIDEST + 8, pace()));
  return [draw("rect", { class: "cursor", x: middle(day) - wide / 2, y: SHARES.top - 4, width: wide, height: BOTTOM - SHARES.top - 14, rx: 3 })];
}

function redraw() {
  if (!days.length || !element.isConnected) return;
  picture.replaceChildren(...axis(), ...bars(), ...LINES.flatMap(curve), ...cursor());
}

// The day that is looked at -------------------------------------------------------------------------------------------

const facts = (day) => [counted(day.runs), ...(day.silent ? [say("history.trends_silent", { count: day.silent })] : [])];

function ranked(day) {
  const found = props.emotions.map((emotion, place) => ({ emotion, share: day.shares[place] }));
  return found.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
}

function pair(className, name, value) {
  const row = make(className ? "li" : "p", className || "row");
  row.append(name, make("b", "", value));
  return row;
}

function showTip() {
  const tip = find(".tip");
  const day = days[here];
  tip.hidden = !day;
  if (!day) return;
  const list = make("ul", "");
  for (const { emotion, share } of ranked(day)) {
    const mark = make("i", "mark");
    mark.style.background = emotion.colour;
    const row = pair("share", emotion.title[language], percent(share));
    row.prepend(mark);
    list.append(row);
  }
  tip.replaceChildren(make("strong", "", dated.format(day.date)), make("span", "", facts(day).join(" · ")), list);
  if (day.confidence !== null) tip.append(pair("", say("history.trends_confidence"), percent(day.confidence)));
  tip.append(pair("", say("history.trends_latency"), lasted(day.latency)));
  const right = middle(day) + 20 + 216 > width();
  tip.style.left = clamp(right ? middle(day) - 20 - 216 : middle(day) + 20, 0, Math.max(0, width() - 216)) + "px";
}

function tell() {
  const day = days[here];
  plot.setAttribute("aria-valuenow", Math.max(0, here));
  if (!day) return plot.removeAttribute("aria-valuetext");
  const shares = ranked(day).map(({ emotion, share }) => emotion.title[language] + " " + percent(share));
  const medians = [lasted(day.latency)];
  if (day.confidence !== null) medians.unshift(say("history.trends_confidence") + " " + percent(day.confidence));
  plot.setAttribute("aria-valuetext", [dated.format(day.date), ...facts(day), ...shares, ...medians].join(", "));
}

function look(place) {
  if (place === here) return;
  here = place;
  redraw();
  showTip();
  tell();
}

function nearest(event) {
  const x = event.clientX - plot.getBoundingClientRect().left;
  let best = -1;
  days.forEach((day, place) => {
    if (best < 0 || Math.abs(middle(day) - x) < Math.abs(middle(days[best]) - x)) best = place;
  });
  return best;
}

const choose = () => days[here] && trigger("day", { day: days[here].day });

plot.addEventListener("pointermove", (event) => look(nearest(event)));
plot.addEventListener("pointerleave", () => look(-1));
plot.addEventListener("click", (event) => {
  look(nearest(event));
  choose();
});
plot.addEventListener("blur", () => look(-1));
plot.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageUp: -7, PageDown: 7, Home: -days.length, End: days.length };
  if (event.key === "Enter") choose();
  else if (event.key in steps) look(clamp((here < 0 ? (steps[event.key] > 0 ? -1 : days.length) : here) + steps[event.key], 0, days.length - 1));
  else return;
  event.preventDefault();
});

// Loading -------------------------------------------------------------------------------------------------------------

function showLegend() {
  const seen = props.emotions.filter((_, place) => days.some((day) => day.shares[place] > 0));
  find(".legend").replaceChildren(
    ...seen.map((emotion) => {
      const mark = make("i", "mark");
      mark.style.background = emotion.colour;
      const item = make("li", "");
      item.append(mark, emotion.title[language]);
      return item;
    }),
  );
}

async function load() {
  const mine = ++turn;
  const value = props.value;
  find(".card").hidden = !value;
  days = [];
  here = -1;
  if (!value) return;
  const found = await fetch(value.file.url).then((answer) => answer.json()).catch(() => null);
  if (mine !== turn || !element.isConnected) return;
  if (!found) return void (find(".note").textContent = say("history.trouble"));
  days = found.map(([day, runs, silent, shares, confidence, latency]) => {
    return { day, date: new Date(day + "T00:00:00Z"), runs, silent, shares, confidence, latency, slot: 0 };
  });
  plot.setAttribute("aria-valuemax", Math.max(0, days.length - 1));
  arrange();
  showLegend();
  redraw();
  showTip();
  tell();
  element.dataset.ready = String(turn);
}

new ResizeObserver(() => {
  if (!days.length) return;
  arrange();
  redraw();
}).observe(plot);
fill(element);
watch("value", load);
load();
