// Shows a page of past runs and what is looked for. `value` is {state, sentence, note, asked, everything, total, size,
// models, orders, rows, told, csv}, or {state, sentence, asked} where there is no history. It triggers "ask" with a wish,
// "show" and "hear" with a run, "pair" and "remove" with ids, "sweep" with the number that the visitor was told, and "save".
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make, press, triangle, sign, cell } = window.emoscope;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));
const PATIENCE = 250; // milliseconds from a letter until it is searched for
const when = new Intl.DateTimeFormat(document.documentElement.lang, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const chosen = new Map(); // id -> row, in the order of choosing
let asked = null; // the wish as it was made last
let current = ""; // id of the run that is open
let saved = ""; // address of the table that was fetched last
let waiting = 0; // timer of the search
let agreed = null; // what happens when the visitor is sure

const number = (count) => count.toLocaleString(document.documentElement.lang);
const counted = (key, count) => say(count === 1 ? key + "_one" : key, { count: number(count) });

// Asking ------------------------------------------------------------------------------------------------------------

function ask(change) {
  clearTimeout(waiting);
  asked = { ...asked, page: 0, ...change, turn: asked.turn + 1 };
  trigger("ask", { wish: asked });
}

function toggle(name) {
  const on = asked.emotions.includes(name);
  ask({ emotions: on ? asked.emotions.filter((each) => each !== name) : [...asked.emotions, name] });
}

// Rows --------------------------------------------------------------------------------------------------------------

function verdict(row) {
  if (row.silent) return [sign("🔇"), say("verdict.silence")];
  const emotion = emotions.get(row.emotion);
  return [sign(emotion.emoji), emotion.title[language], " ", make("span", "percent", Math.round(100 * row.confidence) + "%")];
}

function strip(row) {
  const node = make("span", "strip");
  if (row.silent) return node;
  const words = props.emotions.map((emotion, place) => [row.scores[place], emotion.title[language] + " " + Math.round(row.scores[place] / 10) + "%"]);
  const text = words.sort(([a], [b]) => b - a).map(([, word]) => word);
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", text.join(", "));
  node.title = text.join("\n");
  for (const [place, emotion] of props.emotions.entries()) {
    if (row.scores[place] < 5) continue; // less than a pixel
    const piece = make("i", "");
    piece.style.flex = row.scores[place] + " 0 0";
    piece.style.background = emotion.colour;
    node.append(piece);
  }
  return node;
}

function play(row) {
  const node = press("hear", say("history.hear", { name: row.name }), (event) => {
    event.stopPropagation();
    trigger("hear", { id: row.id });
  });
  node.append(triangle());
  return node;
}

function line(row) {
  const node = make("tr", (row.here ? "" : "far") + (row.id === current ? " current" : ""));
  node.setAttribute("role", "row");
  const box = make("input", "box");
  box.type = "checkbox";
  box.checked = chosen.has(row.id);
  box.disabled = !row.here;
  box.setAttribute("aria-label", say("history.choose", { name: row.name }));
  box.addEventListener("click", (event) => event.stopPropagation());
  box.addEventListener("change", () => choose(row, box.checked));
  const name = row.here ? press("open", say("history.open", { name: row.name }), () => {}) : make("span", "open");
  name.textContent = row.name;
  name.title = row.name;
  name.dir = "auto";
  if (row.here) node.addEventListener("click", (event) => show(row, event));
  const facts = [say("history." + row.mode), row.model, row.here ? "" : say("history.elsewhere_row")];
  node.append(
    cell("pick", box, ...(row.sounds ? [play(row)] : [])),
    cell("name", name, make("span", "sub", facts.filter(Boolean).join(" · "))),
    cell("verdict", ...verdict(row)),
    cell("scores", strip(row)),
    cell("length", row.length),
    cell("when", when.format(new Date(row.when))),
  );
  return node;
}

function show(row, event) {
  if (event.detail && getSelection().toString()) return; // someone drags over a name to copy it
  current = row.id;
  for (const [place, node] of [...find("tbody").children].entries()) node.classList.toggle("current", props.value.rows[place].id === current);
  trigger("show", { id: row.id });
}

function choose(row, on) {
  if (on) chosen.set(row.id, row);
  else chosen.delete(row.id);
  showChosen();
}

function showChosen() {
  find(".chosen").hidden = !chosen.size || asked.view !== "runs";
  const two = [...chosen.values()].map(({ name }, place) => make("span", "", "AB"[place] + " · " + name));
  find(".many").replaceChildren(...(two.length === 2 ? two : [counted("history.chosen", two.length)]));
  find(".pair").disabled = chosen.size !== 2;
  find(".pair").title = chosen.size === 2 ? "" : say("history.pair_help");
}

// Deleting ----------------------------------------------------------------------------------------------------------

function askWhetherSure(count, act) {
  agreed = act;
  find(".sure .lead").textContent = count === 1 ? say("history.sure") : say("history.sure_many", { count: number(count) });
  find(".delete").textContent = count === 1 ? say("history.delete") : say("history.delete_many", { count: number(count) });
  find(".sure").showModal();
  find(".keep").focus();
}

function remove() {
  const ids = [...chosen.keys()];
  askWhetherSure(ids.length, () => trigger("remove", { ids }));
}

function sweep() {
  const count = props.value.total;
  askWhetherSure(count, () => trigger("sweep", { count }));
}

// Showing -----------------------------------------------------------------------------------------------------------

function options(select, pairs, value) {
  select.replaceChildren(...pairs.map(([each, text]) => new Option(text, each, false, each === value)));
}

function showGone(value) {
  const gone = value.state !== "ready";
  find(".gone").hidden = !gone;
  find(".there").hidden = gone;
  if (!gone) return;
  find(".gone .lead").textContent = say("history." + value.state + "_title");
  find(".why").textContent = value.sentence;
  find(".again").hidden = value.state === "private";
}

function showWish(value) {
  const text = find(".text");
  if (document.activeElement !== text) text.value = asked.text;
  for (const view of element.querySelectorAll(".views input")) view.checked = view.value === asked.view;
  for (const chip of find(".chips").children) chip.setAttribute("aria-pressed", String(asked.emotions.includes(chip.dataset.name)));
  const models = [...new Set([...value.models, ...(asked.model ? [asked.model] : [])])];
  options(find("[data-wish=model]"), [["", say("history.any")], ...models.map((name) => [name, name])], asked.model);
  options(find(".order"), value.orders.map((name) => [name, say("history." + name)]), asked.order);
  for (const field of element.querySelectorAll(".fields [data-wish]")) {
    if (document.activeElement !== field) field.value = asked[field.dataset.wish];
  }
  if (["since", "until", "mode", "model", "source"].some((name) => asked[name])) find(".more").open = true;
  find(".clear").hidden = value.everything;
}

function showPages(value) {
  const first = value.size * asked.page;
  const last = Math.min(value.total, first + value.size);
  find(".pages").hidden = asked.view !== "runs" || value.total <= value.size;
  find(".range").textContent = say("history.page", { from: number(first + 1), to: number(last), total: number(value.total) });
  find(".before").disabled = !asked.page;
  find(".after").disabled = last >= value.total;
}

function fetchTable(file) {
  if (!file || file.url === saved) return;
  saved = file.url;
  const link = make("a", "");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}

function update() {
  const value = props.value;
  find(".card").hidden = !value;
  if (!value || (asked && value.asked.turn < asked.turn)) return; // a newer answer is on its way
  asked = value.asked;
  showGone(value);
  if (value.state !== "ready") return;
  const runs = asked.view === "runs";
  find(".there").classList.toggle("blank", value.everything && !value.total);
  showWish(value);
  find(".note").hidden = !value.note;
  find(".note").textContent = value.note;
  const count = value.total === 1 ? say("history.one") : say("history.count", { count: number(value.total) });
  find(".count").textContent = value.told ? value.told : count;
  find(".order").hidden = !runs;
  find(".bar").classList.toggle("runs", runs);
  find(".csv").disabled = find(".sweep").disabled = !value.total;
  find(".sweep").textContent = value.total === 1 ? say("history.sweep_one") : say("history.sweep", { count: number(value.total) });
  find("table").hidden = !runs || !value.rows.length;
  find(".nothing").hidden = Boolean(value.total);
  find(".nothing").textContent = value.sentence;
  if (value.told) chosen.clear();
  find("tbody").replaceChildren(...value.rows.map(line));
  showPages(value);
  showChosen();
  fetchTable(value.csv);
}

function build() {
  const name = "view-" + element.closest(".part-past").id;
  for (const view of element.querySelectorAll(".views input")) {
    view.name = name;
    view.addEventListener("change", () => ask({ view: view.value }));
  }
  for (const emotion of props.emotions) {
    const chip = press("chip", emotion.title[language], () => toggle(emotion.name));
    chip.dataset.name = emotion.name;
    chip.style.setProperty("--hue", emotion.colour);
    chip.append(sign(emotion.emoji), emotion.title[language]);
    find(".chips").append(chip);
  }
  for (const field of element.querySelectorAll("[data-wish]")) {
    field.addEventListener("change", () => ask({ [field.dataset.wish]: field.value }));
  }
  find(".text").placeholder = say("history.search");
  find(".text").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ask({ text: find(".text").value }), PATIENCE);
  });
  find(".clear").addEventListener("click", () => {
    find(".text").value = "";
    ask({ text: "", emotions: [], since: "", until: "", source: "", model: "", mode: "" });
  });
  find(".again").addEventListener("click", () => ask({}));
  find(".before").addEventListener("click", () => ask({ page: asked.page - 1 }));
  find(".after").addEventListener("click", () => ask({ page: asked.page + 1 }));
  find(".csv").addEventListener("click", () => trigger("save", {}));
  find(".sweep").addEventListener("click", sweep);
  find(".pair").addEventListener("click", () => trigger("pair", { ids: [...chosen.keys()] }));
  find(".remove").addEventListener("click", remove);
  find(".none").addEventListener("click", () => {
    chosen.clear();
    update();
  });
  find(".keep").addEventListener("click", () => find(".sure").close());
  find(".delete").addEventListener("click", () => {
    find(".sure").close();
    agreed();
  });
}

fill(element);
build();
watch("value", update);
update();
