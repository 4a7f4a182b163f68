// Lists the runs that are most like the one that is open. `value` is {rows, note}; a row is one of `past`, with its
// `cosine`. It triggers "show" and "hear" with a run.
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make, press, triangle } = window.emoscope;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));

function player(row) {
  if (!row.sounds) return make("span", "");
  const node = press("hear", say("history.hear", { name: row.name }), () => trigger("hear", { id: row.id }));
  node.append(triangle());
  return node;
}

function opener(row) {
  const node = row.here ? press("open", say("history.open", { name: row.name }), () => trigger("show", { id: row.id })) : make("span", "open");
  const name = make("span", "name", row.name);
  name.dir = "auto";
  const found = row.silent ? "🔇 " + say("verdict.silence") : emotions.get(row.emotion).emoji + " " + emotions.get(row.emotion).title[language] + " " + Math.round(100 * row.confidence) + "%";
  const length = row.here ? row.length : say("history.elsewhere_row");
  node.append(name, make("span", "sub", [found, length].filter(Boolean).join(" · ")));
  return node;
}

function line(row) {
  const node = make("li", "");
  const value = row.cosine.toFixed(3).replace("-", "\u2212");
  const cosine = make("span", "cosine", value);
  cosine.setAttribute("role", "img");
  cosine.setAttribute("aria-label", say("history.cosine", { value }));
  const gauge = make("span", "gauge");
  const share = make("i", "");
  share.style.width = Math.max(0, 100 * row.cosine) + "%";
  gauge.append(share);
  cosine.append(gauge);
  node.append(player(row), opener(row), cosine);
  return node;
}

function update() {
  const value = props.value;
  find(".card").hidden = !value;
  if (!value) return;
  find(".note").hidden = !value.note;
  find(".note").textContent = value.note;
  find(".help").hidden = !value.rows.length;
  find(".runs").replaceChildren(...value.rows.map(line));
}

fill(element);
watch("value", update);
update();
