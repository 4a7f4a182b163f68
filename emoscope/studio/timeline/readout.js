// Numbers beside the picture: the legend, the read-outs at the playhead and at the pointer, the list of segments.

let hover = null; // seconds under the pointer
let row = -1; // of the segment at the playhead
const ROWS = 200; // of the list of segments, built at once

/** Put everything that moves with the time in its place. */
function place() {
  if (!shown) return;
  const time = now();
  find(".playhead").style.transform = "translateX(" + xOf(time, plot.clientWidth) + "px)";
  find(".playhead").hidden = time < view.from - 1e-6 || time > view.to + 1e-6;
  const { from, to } = limits();
  find(".mark").style.left = (100 * (time - from)) / (to - from) + "%";
  find(".now").textContent = clock(time);
  const { shares, best } = frameAt(time);
  const said = best === SILENT ? titleOf(best) : titleOf(best) + " " + percent(shares[best]);
  plot.setAttribute("aria-valuenow", time.toFixed(2));
  plot.setAttribute("aria-valuetext", clock(time) + ", " + said);
  find(".reading .sign").textContent = emojiOf(best);
  find(".what").textContent = said;
  fill(find(".legend"), shares, best);
  placeRange();
  placeTip();
  markRow(time);
  tellTime(time);
}

/** Write nine shares into a list that has an item per class. */
function fill(list, shares, best) {
  [...list.children].forEach((item, channel) => {
    item.classList.toggle("best", channel === best);
    item.querySelector(".value").textContent = active[channel] ? percent(shares[channel]) : "–";
    const bar = item.querySelector(".fill");
    if (bar) bar.style.transform = "scaleX(" + shares[channel].toFixed(4) + ")";
  });
}

function placeRange() {
  if (!range) return;
  const left = clamp(xOf(range.from, plot.clientWidth), -4, plot.clientWidth + 4);
  const right = clamp(xOf(range.to, plot.clientWidth), -4, plot.clientWidth + 4);
  find(".range").style.transform = "translateX(" + left + "px)";
  find(".range").style.width = right - left + "px";
}

/** Show what is under the pointer, beside it, on the side that has room. */
function placeTip() {
  const tip = find(".tip");
  tip.hidden = hover === null;
  find(".pointer").hidden = hover === null;
  if (hover === null) return;
  const x = xOf(hover, plot.clientWidth);
  find(".pointer").style.transform = "translateX(" + x + "px)";
  const { shares, best } = frameAt(hover);
  find(".when").textContent = best === SILENT ? clock(hover) + " · " + titleOf(SILENT) : clock(hover);
  fill(find(".nine"), shares, best);
  tipSentence(sentenceAt(hover));
  const left = x > plot.clientWidth / 2 ? x - tip.offsetWidth - 14 : x + 14;
  tip.style.transform = "translate(" + clamp(left, 0, plot.clientWidth - tip.offsetWidth) + "px, 30px)";
}

/** Show what is being said, and how its words read, in what is under the pointer. */
function tipSentence(sentence) {
  find(".said").hidden = !sentence;
  if (!sentence) return;
  find(".quote").textContent = sentence.text;
  const read = titleOf(sentence.class) + " " + percent(sentence.probability);
  find(".reads").textContent = say("timeline.reads", { emotion: read });
}

function markRow(time) {
  const at = segmentAt(time);
  if (at === row) return;
  const rows = find("tbody").children;
  while (rows.length <= at) addRows();
  rows[row]?.classList.remove("current");
  rows[at].classList.add("current");
  row = at;
  const list = find(".scroll");
  if (!list.matches(":hover, :focus-within")) list.scrollTop = rows[at].offsetTop - list.clientHeight / 2; // else it is being read
}

// Building -----------------------------------------------------------------------------------------------------------

function buildLists() {
  find(".legend").replaceChildren(...emotions.map(legendItem));
  find(".nine").replaceChildren(...emotions.map(tipItem));
  tellKeys();
}

function legendItem(emotion, channel) {
  const item = make("li", "");
  const button = make("button", "class");
  button.type = "button";
  button.title = say("timeline.only");
  button.setAttribute("aria-pressed", String(active[channel]));
  const track = make("span", "track");
  const bar = make("span", "fill");
  bar.style.background = emotion.colour;
  track.append(bar);
  const name = make("span", "name");
  name.append(sign(emojiOf(channel)), make("span", "", titleOf(channel)));
  button.append(name, track, make("span", "value"));
  button.addEventListener("click", () => switchClass(channel));
  button.addEventListener("dblclick", () => keepOnly(channel));
  item.append(button);
  return item;
}

function tipItem(emotion, channel) {
  const item = make("li", "");
  const chip = make("span", "chip");
  chip.style.background = emotion.colour;
  item.append(chip, make("span", "name", titleOf(channel)), make("span", "value"));
  return item;
}

function buildTable() {
  row = -1;
  find(".count").textContent = say("timeline.count", { count: shown.segments.length });
  find("tbody").replaceChildren();
  addRows();
  const shares = sharesOf(shown.segments);
  const ranked = [...shares.keys()].filter((channel) => shares[channel]).sort((one, other) => shares[other] - shares[one]);
  const parts = ranked.map((channel) => titleOf(channel) + " " + percent(shares[channel]));
  find(".shares").textContent = parts.length ? say("timeline.shares", { shares: parts.join(" · ") }) : "";
}

/** Add as many rows as one sees without scrolling far; an hour may have thousands. */
function addRows() {
  const body = find("tbody");
  const there = body.children.length;
  body.append(...shown.segments.slice(there, there + ROWS).map(segmentRow));
}

function segmentRow(segment) {
  const quiet = segment.class === SILENT;
  const line = make("tr", quiet ? "quiet" : "");
  const [start, what, mean] = [make("td", ""), make("td", ""), make("td", "")];
  const button = make("button", "", clock(segment.start));
  button.type = "button";
  button.setAttribute("aria-label", say("timeline.play.segment", { label: titleOf(segment.class), time: clock(segment.start) }));
  button.addEventListener("click", () => playSegment(segment));
  start.append(button);
  const chip = make("span", "chip");
  chip.style.background = quiet ? "" : emotions[segment.class].colour;
  what.append(chip, sign(emojiOf(segment.class)), titleOf(segment.class));
  if (!quiet) mean.append(meter(emotions[segment.class], segment.probability), percent(segment.probability));
  line.append(start, make("td", "", clock(segment.end)), what, mean);
  return line;
}

function meter(emotion, share) {
  const track = make("span", "meter");
  const bar = make("i", "");
  bar.style.background = emotion.colour;
  bar.style.width = 100 * share + "%";
  track.append(bar);
  return track;
}

find(".scroll").addEventListener("scroll", ({ target }) => {
  if (shown && target.scrollTop + 2 * target.clientHeight > target.scrollHeight) addRows();
});

const KEYS_TOLD = [
  ["Space", "space"],
  ["← →", "arrows"],
  ["Page ↑ ↓", "pages"],
  ["Home End", "ends"],
  ["[ ]", "brackets"],
  ["+ − 0", "zoom"],
  ["Enter", "enter"],
  ["I O", "range"],
  ["L", "loop"],
  ["Esc", "escape"],
];
const SENTENCE_KEY = ["S", "sentence"];

/** List the keys; the one for sentences only where there are any. */
function tellKeys() {
  const keys = data.sentences.length ? [...KEYS_TOLD, SENTENCE_KEY] : KEYS_TOLD;
  const items = keys.flatMap(([key, what]) => [make("dt", "", key), make("dd", "", say("timeline.keys." + what))]);
  find(".keys dl").replaceChildren(...items);
}
