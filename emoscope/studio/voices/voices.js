// Shows what voice and words say of every emotion, and both together. `value` is what voices.view returns; it comes again
// whenever the weights change, so rows that are there already are moved, not made again.
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make, sign } = window.emoscope;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));
const SIDES = ["voice", "words", "together"];
let order = ""; // of the rows that are there

const percent = (share) => (share === null ? "–" : Math.round(100 * share) + "%");

function tile(side, lead) {
  const item = make("li", side);
  const label = make("span", "label");
  const mark = make("i", "mark " + side);
  mark.setAttribute("aria-hidden", "true");
  label.append(mark, say("together." + side));
  item.append(label);
  const what = make("span", "what");
  if (lead) {
    const emotion = emotions.get(lead.name);
    item.style.setProperty("--hue", emotion.colour);
    const share = make("span", "share", percent(lead.score));
    what.append(sign(emotion.emoji), make("strong", "", emotion.title[language]), share);
  } else what.append(make("span", "", say("together.nothing")));
  item.append(what);
  return item;
}

function line({ name }) {
  const emotion = emotions.get(name);
  const row = make("tr", "");
  row.dataset.name = name;
  row.style.setProperty("--hue", emotion.colour);
  const who = make("th", "");
  who.scope = "row";
  who.append(sign(emotion.emoji), emotion.title[language]);
  const way = make("td", "way");
  const track = make("span", "track");
  track.append(make("i", "both"), make("i", "span"), make("i", "voice"), make("i", "words"));
  way.append(track);
  row.append(who, way, ...SIDES.map((side) => make("td", "number " + side)));
  return row;
}

/** Put the numbers and the marks of a row in their places. */
function place(row, scores) {
  for (const side of SIDES) row.querySelector("td." + side).textContent = percent(scores[side]);
  const { voice, words, together } = scores;
  const mark = (name) => row.querySelector("i." + name);
  mark("both").style.width = 100 * together + "%";
  for (const [name, score] of Object.entries({ voice, words })) {
    mark(name).hidden = score === null;
    mark(name).style.left = 100 * score + "%";
  }
  const both = voice !== null && words !== null;
  mark("span").hidden = !both;
  if (both) Object.assign(mark("span").style, { left: 100 * Math.min(voice, words) + "%", width: 100 * Math.abs(voice - words) + "%" });
}

function show() {
  const now = props.value;
  find(".card").hidden = !now;
  if (!now) return;
  if (find(".headline").textContent !== now.headline) find(".headline").textContent = now.headline; // else it is said again
  find(".sides").replaceChildren(...SIDES.map((side) => tile(side, now.sides[side])));
  const names = now.rows.map((row) => row.name).join();
  if (names !== order) find("tbody").replaceChildren(...now.rows.map(line));
  order = names;
  now.rows.forEach((scores, at) => {
    const row = find("tbody").children[at];
    row.classList.toggle("lead", scores.name === now.sides.together.name);
    place(row, scores);
  });
  find(".balance .left").style.width = 100 * now.weight + "%";
  find(".counted").textContent = now.counted;
  find(".distance").hidden = now.distance === null;
  if (now.distance === null) return;
  find(".value").textContent = now.distance.toFixed(2);
  find(".gauge i").style.width = 100 * now.distance + "%";
  find(".meaning").textContent = now.meaning;
}

fill(element);
watch("value", show);
show();
