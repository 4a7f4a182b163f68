// Shows the verdict. `value` is what present.verdict returns; every text of it is set as text, never as markup.
const { language, fill, make, sign } = window.emoscope;
const find = (selector) => element.querySelector(selector);
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));

function bar({ name, score }) {
  const emotion = emotions.get(name);
  const row = document.createElement("li");
  const who = make("span", "who");
  who.append(sign(emotion.emoji), make("span", "", emotion.title[language]));
  const track = make("span", "track");
  const fill = make("span", "fill");
  fill.style.background = emotion.colour;
  fill.style.width = 100 * score + "%";
  track.append(fill);
  row.append(who, track, make("span", "score", (100 * score).toFixed(1) + "%"));
  return row;
}

function show() {
  const verdict = props.value;
  find(".empty").hidden = Boolean(verdict);
  find(".full").hidden = !verdict;
  if (!verdict) return;
  find(".card").classList.toggle("silent", verdict.silent);
  find(".file").textContent = verdict.file;
  find(".emoji").textContent = verdict.emoji;
  find(".emoji").style.setProperty("--hue", verdict.colour);
  find(".title").textContent = verdict.title;
  find(".percent").textContent = verdict.silent ? "" : verdict.percent;
  find(".sentence").textContent = verdict.sentence;
  find(".bars").replaceChildren(...verdict.scores.map(bar));
  find(".warnings").replaceChildren(...verdict.warnings.map((warning) => make("li", "", warning)));
  find(".facts").textContent = verdict.facts.map((fact) => fact.replaceAll(" ", "\u00a0")).join(" · ");
  find(".model").textContent = [verdict.model, verdict.note].filter(Boolean).join(language === "en" ? " " : "");
}

if (props.help) find("[data-say='verdict.empty_help']").dataset.say = props.help; // what is to be given here
fill(element);
watch("value", () => {
  show();
  if (props.value && !props.value.again && matchMedia("(max-width: 720px)").matches) element.scrollIntoView({ behavior: "smooth" }); // it is below
});
show();
