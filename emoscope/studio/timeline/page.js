// The page around the picture: its words, its nodes, and what is known of the recording that it shows.
//
// Times are seconds on the clock of the uploaded file; the sound begins at `start` on that clock. `data` holds what was
// fetched, `shown` what is read from it with the visitor's smoothing and classes.

const { language, say, make, sign } = window.emoscope;
const find = (selector) => element.querySelector(selector);
const sound = find(".sound");
const plot = find(".plot");
const emotions = props.emotions;

let data = null; // {hop, start, seconds, smooth, frames, wave, waveHop, segments, evidence, sentences, events, apart}
let shown = null; // {levels, segments, points, curve}
let active = emotions.map(() => true); // the classes that are on
let smooth = 0; // seconds
let shape = "area"; // or "lines"

const percent = (share) => Math.round(100 * share) + "%";
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const endOf = () => data.start + data.seconds;
const classOf = (name) => emotions.findIndex((emotion) => emotion.name === name);
const titleOf = (winner) => (winner === SILENT ? say("timeline.silence") : emotions[winner].title[language]);
const clock = (seconds) => window.emoscope.clock(seconds, 2);
const emojiOf = (winner) => (winner === SILENT ? "" : emotions[winner].emoji);

/** Return the probabilities, whether it is silent, and the class of the frame at this time. */
function frameAt(time) {
  const { rows, silent, count } = shown.levels[0];
  const frame = clamp(Math.floor((time - data.start) / data.hop + 1e-6), 0, count - 1);
  const best = silent[frame] ? SILENT : bestAt(rows, frame);
  return { shares: rows.map((row) => (row ? row[frame] : 0)), best };
}

/** Return the place of the segment at this time in the list of segments. */
function segmentAt(time) {
  let [low, high] = [0, shown.segments.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (shown.segments[middle].start <= time + 1e-6) low = middle;
    else high = middle;
  }
  return low;
}

/** Return the sentence that is being said at this time, or null. */
function sentenceAt(time) {
  return data.sentences.findLast(({ start, end }) => start <= time + 1e-6 && time < end) ?? null;
}

for (const node of element.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
for (const node of element.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
for (const node of element.querySelectorAll("button[data-label]")) node.title = say(node.dataset.label);
