// Shows the rows of a batch. `value` is {rows, summary, csv, zip}; a row is {file, state, emotion, silent, confidence,
// scores, seconds, length, note}, with nine scores in thousandths in the emotions' order. Choosing a row that is done
// triggers "choose" with its place.
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make, sign, cell } = window.emoscope;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));
const kept = []; // of each row: its node, and what it was made of
let order = { key: "", down: false }; // "" is the order of the files
let current = -1;

function verdict(row) {
  if (row.state !== "done") return [make("span", "state", say("batch." + row.state))];
  if (row.silent) return [sign("🔇"), say("verdict.silence")];
  const emotion = emotions.get(row.emotion);
  return [sign(emotion.emoji), emotion.title[language]];
}

function bars(scores) {
  const chart = make("span", "bars");
  const words = props.emotions.map((emotion, place) => emotion.title[language] + " " + Math.round(scores[place] / 10) + "%");
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", words.join(", "));
  chart.title = words.join("\n");
  for (const [place, emotion] of props.emotions.entries()) {
    const bar = make("i", "");
    bar.style.background = emotion.colour;
    bar.style.height = scores[place] / 10 + "%";
    chart.append(bar);
  }
  return chart;
}

function line(row, place) {
  const node = make("tr", row.state + (place === current ? " current" : ""));
  node.setAttribute("role", "row");
  const done = row.state === "done";
  const name = done ? make("button", "open", row.file) : make("span", "", row.file);
  if (done) {
    name.type = "button";
    name.setAttribute("aria-label", say("batch.open", { file: row.file }));
    if (place === current) node.setAttribute("aria-current", "true");
    node.addEventListener("click", (event) => choose(place, event));
  }
  const file = cell("file", name);
  if (row.note) file.append(make("span", "note", row.note));
  const percent = done && !row.silent ? Math.round(100 * row.confidence) + "%" : "";
  node.append(file, cell("verdict", ...verdict(row)), cell("confidence", percent));
  node.append(cell("scores", ...(done ? [bars(row.scores)] : [])), cell("length", row.length));
  return node;
}

function choose(place, event) {
  if (event.detail && getSelection().toString()) return; // someone drags over a name to copy it
  current = place;
  show();
  trigger("choose", { index: place });
}

function sorted(rows) {
  const places = rows.map((_, place) => place);
  if (!order.key) return places;
  const value = (place) => rows[place][order.key];
  const title = (name) => emotions.get(name)?.title[language] ?? name;
  const compare = (a, b) =>
    typeof value(a) === "number" ? value(a) - value(b) : title(value(a)).localeCompare(title(value(b)), language, { numeric: true });
  const known = places.filter((place) => value(place) !== null).sort(compare); // rows without a value stay at the end
  return [...(order.down ? known.reverse() : known), ...places.filter((place) => value(place) === null)];
}

// Puts the rows in their order. A row that has not changed keeps its node, and with it the keyboard's place.
function arrange(rows) {
  const body = find("tbody");
  const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
  const place = kept.findIndex((one) => one && one.node === focused);
  kept.length = rows.length;
  for (const [index, row] of rows.entries()) {
    const made = JSON.stringify([row, index === current]);
    if (kept[index]?.made !== made) kept[index] = { made, node: line(row, index) };
  }
  const nodes = sorted(rows).map((index) => kept[index].node);
  if (nodes.length === body.children.length && nodes.every((node, index) => node === body.children[index])) return;
  body.replaceChildren(...nodes);
  if (place >= 0) kept[place]?.node.querySelector("button")?.focus({ preventScroll: true });
}

function link(anchor, file) {
  anchor.hidden = !file;
  if (!file) return;
  anchor.href = file.url;
  anchor.download = file.orig_name;
}

function show() {
  const batch = props.value;
  find(".card").hidden = !batch;
  if (!batch) return;
  if (find(".summary").textContent !== batch.summary) find(".summary").textContent = batch.summary;
  link(find(".csv"), batch.csv);
  link(find(".zip"), batch.zip);
  arrange(batch.rows);
}

function sort(key) {
  order = order.key !== key ? { key, down: false } : order.down ? { key: "", down: false } : { key, down: true };
  for (const button of element.querySelectorAll("[data-sort]")) {
    const chosen = button.dataset.sort === order.key;
    const heading = button.closest("th");
    if (chosen) heading.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else heading.removeAttribute("aria-sort");
  }
  show();
}

fill(element);
for (const button of element.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sort(button.dataset.sort));
watch("value", () => {
  if (!props.value?.rows.some((row) => row.state === "done")) current = -1; // another batch
  show();
});
show();
