// Shows what recording B has more of than A. `value` is {scores, shares, csv}; each of the first two is {help, sentence,
// rows, distance, meaning}, where a row is {name, first, second, points}; `rows` is null when there is nothing to compare.
const find = (selector) => element.querySelector(selector);
const { language, fill, make, sign } = window.emoscope;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));
const LEAST = 0.05; // points that show as 0.0

function signed(points) {
  if (Math.abs(points) < LEAST) return "0.0";
  return (points > 0 ? "+" : "\u2212") + Math.abs(points).toFixed(1);
}

function bar(points, colour) {
  const track = make("span", "track");
  const part = make("span", points < 0 ? "fill less" : "fill");
  part.style.background = colour;
  part.style.width = Math.abs(points) / 2 + "%"; // the track goes from -100 to 100
  track.append(part);
  return track;
}

function line({ name, first, second, points }, most) {
  const emotion = emotions.get(name);
  const row = make("tr", most ? "most" : "");
  row.dataset.name = name;
  const who = make("th", "");
  who.scope = "row";
  who.append(sign(emotion.emoji), emotion.title[language]);
  const way = make("td", "way");
  way.append(bar(points, emotion.colour));
  const percent = (share) => (100 * share).toFixed(1) + "%";
  row.append(who, make("td", "number share", percent(first)), make("td", "number share", percent(second)), way);
  row.append(make("td", "number", signed(points)));
  return row;
}

function show() {
  const both = props.value;
  find(".card").hidden = !both;
  if (!both) return;
  const found = both[find("input:checked").value];
  find(".main").textContent = found.sentence;
  find(".main + .help").textContent = found.help;
  find(".found").hidden = !found.rows;
  find(".csv").href = both.csv.url;
  find(".csv").download = both.csv.orig_name;
  if (!found.rows) return;
  const largest = (sign) => Math.max(...found.rows.map((row) => sign * row.points));
  const most = found.rows.filter(({ points }) => Math.abs(points) >= 1 && [largest(1), -largest(-1)].includes(points));
  find("tbody").replaceChildren(...found.rows.map((row) => line(row, most.includes(row))));
  find(".distance .value").textContent = found.distance.toFixed(2);
  find(".gauge i").style.width = 100 * found.distance + "%";
  find(".meaning").textContent = found.meaning;
}

fill(element);
const group = "measure-" + element.closest(".part-difference").id; // a page may have two of these, each with its choice
for (const measure of element.querySelectorAll(".measures input")) measure.name = group;
find(".measures").addEventListener("change", show);
watch("value", show);
show();
