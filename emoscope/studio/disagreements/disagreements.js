// Lists the sentences that read one way and sound another, each of which can be played. `value` is what disagreements.view
// returns; it comes again whenever the weights change. "emoscope:play" asks the timeline for a sentence, and
// "emoscope:time" tells what is being heard.
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make, triangle, sign, clock } = window.emoscope;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));
let order = ""; // of the rows that are there

function makePlay({ time: [start, end], sentence }) {
  const button = make("button", "play");
  button.type = "button";
  button.setAttribute("aria-label", say("together.play", { sentence, time: clock(start, 1) }));
  button.append(triangle(), make("span", "", clock(start, 1)));
  button.addEventListener("click", () => {
    document.dispatchEvent(new CustomEvent("emoscope:play", { detail: { start, end } }));
  });
  return button;
}

function line(row) {
  const item = make("li", "");
  item.style.setProperty("--reads", emotions.get(row.reads.name).colour);
  item.style.setProperty("--sounds", emotions.get(row.sounds.name).colour);
  const what = make("p", "what");
  what.append(...[row.reads, row.sounds].map(({ name }) => sign(emotions.get(name).emoji)), make("strong", "", row.sentence));
  const quote = make("q", "quote", row.text);
  quote.dir = "auto";
  item.append(makePlay(row), what, quote, make("p", "facts"));
  return item;
}

/** Say what the weights change. */
function place(item, { together, distance }) {
  const verdict = emotions.get(together.name).title[language] + " " + Math.round(100 * together.score) + "%";
  item.querySelector(".facts").textContent = say("together.facts", { verdict, distance: distance.toFixed(2) });
}

function show() {
  const now = props.value;
  find(".card").hidden = !now;
  if (!now) return;
  find(".note").textContent = now.note;
  const list = find(".rows");
  const rows = JSON.stringify(now.rows.map(({ time, text, sentence }) => [time, text, sentence]));
  if (rows !== order) list.replaceChildren(...now.rows.map(line));
  order = rows;
  now.rows.forEach((row, at) => place(list.children[at], row));
}

function mark({ detail: { time } }) {
  if (!element.isConnected) return void document.removeEventListener("emoscope:time", mark);
  (props.value?.rows ?? []).forEach(({ time: [start, end] }, at) => {
    const item = find(".rows").children[at];
    if (time >= start && time < end) item?.setAttribute("aria-current", "true");
    else item?.removeAttribute("aria-current");
  });
}

fill(element);
document.addEventListener("emoscope:time", mark);
watch("value", show);
show();
