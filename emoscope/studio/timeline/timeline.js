// The timeline: sound above nine emotions every 20 ms, one clock for both.
//
// `value` is {audio, frames, wave, segments: files; hop, start, seconds}. Times are seconds on the clock of the uploaded file;
// the sound begins at `start` on that clock. `data` holds what was fetched, `view` what part of it is drawn.

const find = (selector) => element.querySelector(selector);
const sound = find(".sound");
const plot = find(".plot");
const picture = find(".picture");
const emotions = props.emotions;
const CLASSES = emotions.length;
const WIDTH = CLASSES + 1; // bytes of a frame: the probabilities, then silence
const EMOJI_FONT = "'Apple Color Emoji', 'Segoe UI Emoji', 'Noto Color Emoji', sans-serif";
const SILENCE = { name: "silence", emoji: "", colour: "transparent" };

let data = null;
let view = null; // {from, to}
let hover = null; // seconds under the pointer
let until = null; // where a played segment stops
let turn = 0; // counts loads, so that a slow one does not overwrite a newer one

// Reading ------------------------------------------------------------------------------------------------------------

const named = (name) => emotions.find((emotion) => emotion.name === name) ?? SILENCE;
const percent = (share) => Math.round(100 * share) + "%";
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function clock(seconds) {
  const hundredths = Math.max(0, Math.round(100 * seconds));
  const minutes = Math.floor(hundredths / 6000);
  return minutes + ":" + ((hundredths - 6000 * minutes) / 100).toFixed(2).padStart(5, "0");
}

function make(name, className, text) {
  const node = document.createElement(name);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Return {scores, silent, best} of the frame at this time. */
function frameAt(time) {
  const index = clamp(Math.floor((time - data.start) / data.hop + 1e-6), 0, data.count - 1);
  const bytes = data.levels[0].bytes.subarray(index * WIDTH, (index + 1) * WIDTH);
  const scores = Array.from(bytes.subarray(0, CLASSES), (byte) => byte / 255);
  return { scores, silent: bytes[CLASSES] > 127, best: scores.indexOf(Math.max(...scores)) };
}

/** Return ever coarser means of four frames, so that a drawing never touches many more frames than pixels. */
function pyramid(bytes, width) {
  const levels = [{ bytes, count: bytes.length / width, step: 1 }];
  for (let last = levels[0]; last.count > 4096; last = levels[levels.length - 1]) {
    const count = Math.ceil(last.count / 4);
    const coarse = new Uint8Array(count * width);
    for (let at = 0; at < count; at++) {
      const first = 4 * at;
      const end = Math.min(first + 4, last.count);
      for (let channel = 0; channel < width; channel++) {
        let sum = 0;
        for (let one = first; one < end; one++) sum += last.bytes[one * width + channel];
        coarse[at * width + channel] = Math.round(sum / (end - first));
      }
    }
    levels.push({ bytes: coarse, count, step: 4 * last.step });
  }
  return levels;
}

// Drawing ------------------------------------------------------------------------------------------------------------

const xOf = (time, width) => ((time - view.from) / (view.to - view.from)) * width;
const colourOf = (variable) => getComputedStyle(element).getPropertyValue(variable).trim();

function draw() {
  if (!data || !plot.clientWidth) return;
  const scale = window.devicePixelRatio || 1;
  const width = plot.clientWidth;
  const height = plot.clientHeight;
  picture.width = Math.round(width * scale);
  picture.height = Math.round(height * scale);
  const pen = picture.getContext("2d");
  pen.scale(scale, scale);
  const ink = colourOf("--body-text-color");
  const soft = colourOf("--body-text-color-subdued");
  const paper = colourOf("--block-background-fill");
  drawWave(pen, { top: 0, height: 58, width }, soft);
  drawArea(pen, { top: 66, height: height - 66 - 62, width }, paper);
  drawStrip(pen, { top: height - 54, height: 28, width });
  drawAxis(pen, { top: height - 20, height: 20, width }, soft, ink);
  place();
}

function drawWave(pen, band, colour) {
  const middle = band.top + band.height / 2;
  const { bounds, hop } = data.wave;
  const count = bounds.length / 2;
  const bars = Math.min(Math.floor(band.width / 3), Math.ceil((view.to - view.from) / hop));
  const step = band.width / bars;
  pen.fillStyle = colour;
  for (let bar = 0; bar < bars; bar++) {
    const from = view.from - data.start + ((view.to - view.from) * bar) / bars;
    const first = clamp(Math.floor(from / hop), 0, count - 1);
    const last = clamp(Math.ceil((from + (view.to - view.from) / bars) / hop), first + 1, count);
    let low = 0;
    let high = 0;
    for (let one = first; one < last; one++) {
      low = Math.min(low, bounds[2 * one]);
      high = Math.max(high, bounds[2 * one + 1]);
    }
    const up = Math.max(0.75, (high / 127) * (band.height / 2));
    const down = Math.max(0.75, (-low / 127) * (band.height / 2));
    pen.beginPath();
    pen.roundRect(bar * step + step * 0.15, middle - up, Math.max(1, step * 0.7), up + down, 1);
    pen.fill();
  }
}

/** Draw the nine probabilities on top of each other, in the order of the legend, angry at the bottom. */
function drawArea(pen, band, paper) {
  const wanted = (view.to - view.from) / data.hop / band.width;
  const level = data.levels.findLast((one) => one.step <= Math.max(1, wanted)) ?? data.levels[0];
  const seconds = level.step * data.hop;
  const first = clamp(Math.floor((view.from - data.start) / seconds) - 1, 0, level.count - 1);
  const last = clamp(Math.ceil((view.to - data.start) / seconds) + 1, first + 1, level.count);
  const count = last - first;
  const x = Float32Array.from({ length: count }, (_, at) => xOf(data.start + (first + at + 0.5) * seconds, band.width));
  let floor = new Float32Array(count);
  pen.save();
  pen.beginPath();
  pen.roundRect(0, band.top, band.width, band.height, 8);
  pen.clip();
  for (let channel = 0; channel < CLASSES; channel++) {
    const roof = floor.map((height, at) => height + shareOf(level, first + at, channel));
    tracePatch(pen, band, x, floor, roof);
    pen.fillStyle = emotions[channel].colour;
    pen.fill();
    pen.strokeStyle = paper; // a thin gap tells neighbours apart without their colours
    pen.lineWidth = 0.75;
    pen.stroke();
    floor = roof;
  }
  hatchSilence(pen, band, level, first, last, seconds, paper);
  pen.restore();
}

/** Return the share of a class among the nine; bytes are rounded, so their sum is not quite 255. */
function shareOf(level, frame, channel) {
  let sum = 0;
  for (let one = 0; one < CLASSES; one++) sum += level.bytes[frame * WIDTH + one];
  return level.bytes[frame * WIDTH + channel] / (sum || 1);
}

function tracePatch(pen, band, x, floor, roof) {
  const y = (share) => band.top + (1 - share) * band.height;
  const end = x.length - 1;
  pen.beginPath();
  pen.moveTo(Math.min(0, x[0]), y(roof[0]));
  for (let at = 0; at <= end; at++) pen.lineTo(x[at], y(roof[at]));
  pen.lineTo(Math.max(band.width, x[end]), y(roof[end]));
  pen.lineTo(Math.max(band.width, x[end]), y(floor[end]));
  for (let at = end; at >= 0; at--) pen.lineTo(x[at], y(floor[at]));
  pen.lineTo(Math.min(0, x[0]), y(floor[0]));
  pen.closePath();
}

function hatchSilence(pen, band, level, first, last, seconds, paper) {
  for (let at = first; at < last; at++) {
    if (level.bytes[at * WIDTH + CLASSES] <= 127) continue;
    const begin = at;
    while (at < last && level.bytes[at * WIDTH + CLASSES] > 127) at++;
    const left = xOf(data.start + begin * seconds, band.width);
    hatch(pen, left, band.top, xOf(data.start + at * seconds, band.width) - left, band.height, paper);
  }
}

function hatch(pen, left, top, width, height, paper) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  pen.globalAlpha = 0.8;
  pen.fillStyle = paper;
  pen.fill();
  pen.globalAlpha = 0.35;
  pen.strokeStyle = colourOf("--body-text-color-subdued");
  pen.lineWidth = 1;
  pen.beginPath();
  for (let x = left - height - (left % 8); x < left + width; x += 8) {
    pen.moveTo(x, top + height);
    pen.lineTo(x + height, top);
  }
  pen.stroke();
  pen.restore();
}

function drawStrip(pen, band) {
  pen.textBaseline = "middle";
  for (const segment of data.segments) {
    if (segment.end < view.from || segment.start > view.to) continue;
    const left = xOf(segment.start, band.width);
    const width = Math.max(1, xOf(segment.end, band.width) - left - 1.5);
    if (segment.label === "silence") {
      hatch(pen, left, band.top, width, band.height, colourOf("--block-background-fill"));
      continue;
    }
    const emotion = named(segment.label);
    pen.fillStyle = emotion.colour;
    pen.beginPath();
    pen.roundRect(left, band.top, width, band.height, Math.min(6, width / 2));
    pen.fill();
    writeLabel(pen, emotion, Math.max(left, 0), Math.min(left + width, band.width), band.top + band.height / 2 + 1);
  }
}

/** Write emoji and name into a segment, or the emoji alone, or nothing, as there is room. */
function writeLabel(pen, emotion, left, right, y) {
  const room = right - left - 12;
  pen.font = "14px " + EMOJI_FONT; // apart from the name: the digits and letters of an emoji font are odd
  const sign = pen.measureText(emotion.emoji).width;
  if (sign > room) return;
  pen.fillStyle = isDark(emotion.colour) ? "#ffffff" : "#16181a";
  pen.fillText(emotion.emoji, left + 6, y);
  pen.font = "13px " + getComputedStyle(element).fontFamily;
  if (sign + 6 + pen.measureText(emotion.name).width <= room) pen.fillText(emotion.name, left + 12 + sign, y);
}

function isDark(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => (parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18;
}

function drawAxis(pen, band, soft) {
  const span = view.to - view.from;
  const most = Math.max(2, band.width / 80);
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200].find((one) => span / one <= most) ?? 3600;
  pen.fillStyle = soft;
  pen.font = "11px " + getComputedStyle(element).fontFamily;
  pen.textBaseline = "alphabetic";
  for (let tick = Math.ceil(view.from / step - 1e-9); tick * step <= view.to; tick++) {
    const x = Math.round(xOf(tick * step, band.width));
    const text = step < 1 ? clock(tick * step).slice(0, -1) : clock(tick * step).slice(0, -3);
    pen.fillRect(x, band.top, 1, 5);
    pen.fillText(text, clamp(x - pen.measureText(text).width / 2, 0, band.width - pen.measureText(text).width), band.top + 17);
  }
}

// The playhead and the read-out --------------------------------------------------------------------------------------

const now = () => (data ? data.start + sound.currentTime : 0);

function place() {
  if (!data) return;
  const time = now();
  find(".playhead").style.transform = "translateX(" + xOf(time, plot.clientWidth) + "px)";
  find(".now").textContent = clock(time);
  const frame = frameAt(time);
  const name = frame.silent ? "silence" : emotions[frame.best].name + " " + percent(frame.scores[frame.best]);
  plot.setAttribute("aria-valuenow", time.toFixed(2));
  plot.setAttribute("aria-valuetext", clock(time) + ", " + name);
  read(hover ?? time);
  markRow(time);
}

function read(time) {
  const { scores, silent, best } = frameAt(time);
  find(".where").textContent = hover === null ? "Playhead" : "Pointer";
  find(".when").textContent = clock(time);
  find(".reading .sign").textContent = silent ? "" : emotions[best].emoji;
  find(".what").textContent = silent ? "silence" : emotions[best].name + " " + percent(scores[best]);
  [...find(".legend").children].forEach((item, channel) => {
    item.classList.toggle("best", channel === best && !silent);
    item.querySelector(".value").textContent = percent(scores[channel]);
    item.querySelector(".fill").style.width = 100 * scores[channel] + "%";
  });
}

function markRow(time) {
  const at = data.segments.findLastIndex((segment) => segment.start <= time + 1e-6);
  if (at === data.row) return;
  const rows = find("tbody").children;
  rows[data.row]?.classList.remove("current");
  rows[at]?.classList.add("current");
  data.row = at;
}

function follow() {
  if (!element.isConnected || !data) return;
  if (until !== null && now() >= until) {
    sound.pause();
    sound.currentTime = until - data.start;
    until = null;
  }
  place();
  if (!sound.paused) requestAnimationFrame(follow);
}

// Seeking and playing ------------------------------------------------------------------------------------------------

function seek(time) {
  until = null;
  sound.currentTime = clamp(time - data.start, 0, data.seconds);
  place();
}

function toggle() {
  if (!sound.paused) return sound.pause();
  if (now() >= data.start + data.seconds - 0.02) seek(data.start);
  sound.play();
}

function playSegment(segment) {
  seek(segment.start);
  until = segment.end;
  sound.play();
}

function timeUnder(event) {
  const box = plot.getBoundingClientRect();
  return clamp(view.from + ((event.clientX - box.left) / box.width) * (view.to - view.from), view.from, view.to);
}

plot.addEventListener("pointerdown", (event) => {
  if (!data || event.button !== 0) return;
  plot.setPointerCapture(event.pointerId);
  seek(timeUnder(event));
});

plot.addEventListener("pointermove", (event) => {
  if (!data) return;
  const time = timeUnder(event);
  if (plot.hasPointerCapture(event.pointerId)) seek(time);
  hover = event.pointerType === "mouse" ? time : null;
  find(".pointer").classList.toggle("on", hover !== null);
  find(".pointer").style.transform = "translateX(" + xOf(time, plot.clientWidth) + "px)";
  place();
});

plot.addEventListener("pointerleave", () => {
  hover = null;
  place();
});

const KEYS = {
  ArrowRight: (event) => seek(now() + stepOf(event)),
  ArrowLeft: (event) => seek(now() - stepOf(event)),
  PageUp: () => seek(now() + 5),
  PageDown: () => seek(now() - 5),
  Home: () => seek(data.start),
  End: () => seek(data.start + data.seconds),
  " ": toggle,
};

/** Return the seconds of one press: a tenth, with Shift a second, with Alt one frame. */
const stepOf = (event) => (event.altKey ? data.hop : event.shiftKey ? 1 : 0.1);

plot.addEventListener("keydown", (event) => {
  if (!data || !(event.key in KEYS) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  KEYS[event.key](event);
});

function showPlaying() {
  const playing = !sound.paused;
  find(".play").setAttribute("aria-label", playing ? "Pause" : "Play");
  find(".glyph").setAttribute("d", playing ? "M7 5h4v14H7zM13 5h4v14h-4z" : "M8 5.5v13l11-6.5z");
  follow();
}

find(".play").addEventListener("click", () => data && toggle());
find("select").addEventListener("change", (event) => (sound.playbackRate = Number(event.target.value)));
for (const name of ["play", "pause", "ended"]) sound.addEventListener(name, showPlaying);
sound.addEventListener("seeked", place);

// Loading ------------------------------------------------------------------------------------------------------------

async function fetched(file, kind) {
  const answer = await fetch(file.url);
  if (!answer.ok) throw new Error("status " + answer.status);
  return answer[kind]();
}

async function load() {
  const mine = ++turn;
  const value = props.value;
  data = null;
  sound.pause();
  find(".card").hidden = !value;
  if (!value) return;
  find(".trouble").textContent = "";
  try {
    const [frames, wave, segments] = await Promise.all([
      fetched(value.frames, "arrayBuffer"),
      fetched(value.wave, "arrayBuffer"),
      fetched(value.segments, "json"),
    ]);
    if (mine === turn) open(value, new Uint8Array(frames), new Int8Array(wave), segments);
  } catch {
    find(".trouble").textContent = "The timeline could not be fetched from the server. Analyze the recording again.";
  }
}

function open(value, frames, bounds, segments) {
  const { hop, start, seconds } = value;
  const levels = pyramid(frames, WIDTH);
  data = { hop, start, seconds, levels, count: levels[0].count, wave: { bounds, hop }, segments, row: null };
  view = { from: start, to: start + seconds };
  hover = until = null;
  sound.src = value.audio.url;
  sound.playbackRate = Number(find("select").value);
  plot.setAttribute("aria-valuemin", start.toFixed(2));
  plot.setAttribute("aria-valuemax", (start + seconds).toFixed(2));
  find(".of").textContent = "/ " + clock(start + seconds);
  find(".legend").replaceChildren(...emotions.map(legendItem));
  find(".count").textContent = "(" + segments.length + ")";
  find("tbody").replaceChildren(...segments.map(segmentRow));
  draw();
  element.dataset.ready = String(turn);
}

function legendItem(emotion) {
  const item = document.createElement("li");
  const name = make("span", "name");
  const sign = make("span", "sign", emotion.emoji);
  sign.setAttribute("aria-hidden", "true");
  name.append(sign, make("span", "", emotion.name));
  const track = make("span", "track");
  const fill = make("span", "fill");
  fill.style.background = emotion.colour;
  track.append(fill);
  item.append(name, make("span", "value"), track);
  return item;
}

function segmentRow(segment) {
  const emotion = named(segment.label);
  const row = make("tr", segment.label === "silence" ? "quiet" : "");
  const [start, end, what, mean] = ["", clock(segment.end), "", ""].map((text) => make("td", "", text));
  const play = make("button", "", clock(segment.start));
  play.type = "button";
  play.setAttribute("aria-label", "Play " + segment.label + " from " + clock(segment.start));
  play.addEventListener("click", () => playSegment(segment));
  start.append(play);
  const chip = make("span", "chip");
  chip.style.background = emotion.colour;
  what.append(chip, make("span", "sign", emotion.emoji), segment.label);
  if (segment.label !== "silence") mean.append(meter(emotion, segment.probability), percent(segment.probability));
  row.append(start, end, what, mean);
  return row;
}

function meter(emotion, share) {
  const track = make("span", "meter");
  const fill = document.createElement("i");
  fill.style.background = emotion.colour;
  fill.style.width = 100 * share + "%";
  track.append(fill);
  return track;
}

new ResizeObserver(draw).observe(plot);
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light and dark
watch("value", load);
load();
