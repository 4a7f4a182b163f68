// The last half minute as a picture: how loud it was, and below the nine emotions; it moves to the left as time passes.

const SPAN = 30; // seconds across, or half of it where there is little room
const NARROW = 500; // pixels
const HOP = 0.02; // seconds of a frame
const WIDTH = 10; // bytes of a frame: nine probabilities and silence; all 0 where nothing was heard
const ROOM = 4000; // frames; what is older moves out
const SLICE = 0.05; // seconds of sound behind one bar of loudness
const THINNEST = 3; // pixels from bar to bar
const BEAT = 66; // ms between two drawings
const FLOOR = -60; // dB at which a bar has no height

const plot = find(".plot");
const picture = find(".picture");

let ink = null; // the colours of light or dark
let span = SPAN;
let shownUntil = 0; // seconds at the right end of the picture

const past = {
  frames: new Uint8Array(ROOM * WIDTH),
  origin: 0, // number of the first frame in there
  end: 0, // number of the frame after the last
  settled: 0, // number of the first frame that may change
  bars: [], // loudness from 0 to 1, one for each slice
  peak: 0, // of the slice that is not over yet
};

function clearPast() {
  past.frames.fill(0);
  past.bars = [];
  past.origin = past.end = past.settled = past.peak = 0;
}

/** Take in frames as base64, the first of them being number `first`. */
function addFrames(first, settled, text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const end = first + bytes.length / WIDTH;
  const shift = end - ROOM - past.origin;
  if (shift > 0) {
    past.frames.copyWithin(0, shift * WIDTH);
    past.frames.fill(0, Math.max(0, past.end - past.origin - shift) * WIDTH);
    past.origin += shift;
  }
  const at = (first - past.origin) * WIDTH;
  past.frames.set(at < 0 ? bytes.subarray(-at) : bytes, Math.max(0, at));
  past.end = end;
  past.settled = settled;
}

/** Take in how loud a piece was; `seconds` is where it ends. */
function addLoudness(level, seconds) {
  past.peak = Math.max(past.peak, level);
  while (past.bars.length < Math.floor(seconds / SLICE)) {
    past.bars.push(past.peak);
    past.peak = 0;
  }
}

/** Return from 0 to 1 how loud 16-bit samples are on a scale of decibels. */
function loudness(piece) {
  let sum = 0;
  for (const sample of piece) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / piece.length / 2 ** 30 + 1e-10);
  return Math.min(1, Math.max(0, 1 - decibels / FLOOR));
}

/** Draw what lies before `now`, in seconds. */
function draw(now) {
  shownUntil = now;
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  if (!width) return; // another tab is open
  ink ??= mixInk();
  const pen = clean(width, height);
  span = width < NARROW ? SPAN / 2 : SPAN;
  const right = Math.max(now, span);
  const x = (seconds) => width * (1 - (right - seconds) / span);
  drawBars(pen, { top: 0, height: 52, width }, x, right);
  const band = { top: 62, height: height - 62 - 26, width };
  drawGround(pen, band);
  pen.save();
  pen.beginPath();
  pen.roundRect(0, band.top, width, band.height, 10);
  pen.clip();
  for (const [first, last] of heardRuns(Math.floor((right - span) / HOP) - 1)) drawRun(pen, band, x, first, last);
  pen.restore();
  drawTicks(pen, { top: height - 22, height: 22, width }, x, right);
}

/** Return the pen of an empty picture. */
function clean(width, height) {
  const scale = window.devicePixelRatio || 1;
  const [wide, tall] = [Math.round(width * scale), Math.round(height * scale)];
  if (picture.width !== wide || picture.height !== tall) Object.assign(picture, { width: wide, height: tall });
  const pen = picture.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

function mixInk() {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const paper = colour("--block-background-fill");
  const mixed = (percent) => `color-mix(in srgb, ${paper} ${percent}%, transparent)`;
  return {
    paper,
    thin: mixed(1),
    thick: mixed(55),
    soft: colour("--body-text-color-subdued"),
    line: colour("--border-color-primary"),
    font: "11px " + style.fontFamily,
  };
}

function drawBars(pen, band, x, right) {
  const slice = (band.width * SLICE) / span;
  const many = Math.ceil(THINNEST / slice); // slices behind one bar
  const middle = band.top + band.height / 2;
  pen.fillStyle = ink.soft;
  const first = Math.max(0, Math.floor((right - span) / SLICE / many) * many);
  for (let at = first; at < past.bars.length; at += many) {
    const tall = Math.max(1.5, Math.max(...past.bars.slice(at, at + many)) * band.height);
    pen.beginPath();
    pen.roundRect(x(at * SLICE), middle - tall / 2, slice * many * 0.62, tall, 1);
    pen.fill();
  }
}

function drawGround(pen, band) {
  pen.globalAlpha = 0.35;
  pen.fillStyle = ink.line;
  pen.beginPath();
  pen.roundRect(0, band.top, band.width, band.height, 10);
  pen.fill();
  pen.globalAlpha = 1;
}

const sumAt = (frame) => {
  let sum = 0;
  for (let channel = 0; channel < WIDTH; channel++) sum += past.frames[(frame - past.origin) * WIDTH + channel];
  return sum;
};

/** Yield [first, after the last] of every row of frames that were heard, from frame `from` on. */
function* heardRuns(from) {
  let first = null;
  for (let frame = Math.max(from, past.origin); frame <= past.end; frame++) {
    const heard = frame < past.end && sumAt(frame) > 0;
    if (heard && first === null) first = frame;
    if (!heard && first !== null) {
      yield [first, frame];
      first = null;
    }
  }
}

/** Draw a row of heard frames: the nine probabilities on top of each other, angry at the bottom. */
function drawRun(pen, band, x, first, last) {
  const step = Math.max(1, Math.floor((span / HOP / band.width) * 1.5));
  const frames = [];
  for (let frame = Math.ceil(first / step) * step; frame < last; frame += step) frames.push(frame);
  if (!frames.length) return;
  const places = frames.map((frame) => x((frame + 0.5) * HOP));
  places[0] = x(first * HOP);
  places[places.length - 1] = x(last * HOP);
  let floor = frames.map(() => 0);
  for (let channel = 0; channel < emotions.length; channel++) {
    const roof = frames.map((frame, at) => floor[at] + shareOf(frame, channel));
    tracePatch(pen, band, places, floor, roof);
    pen.fillStyle = emotions[channel].colour;
    pen.fill();
    floor = roof;
  }
  hatchSilence(pen, band, x, first, last);
  const from = Math.max(first, past.settled);
  if (from >= last) return;
  const veil = pen.createLinearGradient(x(from * HOP), 0, x(last * HOP), 0); // what may still change is paler
  veil.addColorStop(0, ink.thin);
  veil.addColorStop(1, ink.thick);
  pen.fillStyle = veil;
  pen.fillRect(x(from * HOP), band.top, x(last * HOP) - x(from * HOP), band.height);
}

/** Return the share of a class among the nine; bytes are rounded, so their sum is not quite 255. */
function shareOf(frame, channel) {
  const at = (frame - past.origin) * WIDTH;
  let sum = 0;
  for (let one = 0; one < emotions.length; one++) sum += past.frames[at + one];
  return past.frames[at + channel] / (sum || 1);
}

function tracePatch(pen, band, places, floor, roof) {
  const y = (share) => band.top + (1 - share) * band.height;
  pen.beginPath();
  places.forEach((place, at) => pen.lineTo(place, y(roof[at])));
  for (let at = places.length - 1; at >= 0; at--) pen.lineTo(places[at], y(floor[at]));
  pen.closePath();
}

function hatchSilence(pen, band, x, first, last) {
  const isSilent = (frame) => frame < last && past.frames[(frame - past.origin) * WIDTH + emotions.length] > 127;
  for (let frame = first; frame < last; frame++) {
    if (!isSilent(frame)) continue;
    const begin = frame;
    while (isSilent(frame)) frame++;
    hatch(pen, band, x(begin * HOP), x(frame * HOP), begin);
  }
}

/** Cover a silence; the lines keep their places on it while it moves. */
function hatch(pen, band, left, right, begin) {
  pen.save();
  pen.beginPath();
  pen.rect(left, band.top, right - left, band.height);
  pen.clip();
  pen.fillStyle = ink.paper;
  pen.fillRect(left, band.top, right - left, band.height);
  pen.globalAlpha = 0.35;
  pen.strokeStyle = ink.soft;
  pen.lineWidth = 1;
  pen.beginPath();
  const zero = left - (begin * HOP * band.width) / span; // where the recording began
  for (let line = zero + Math.floor((left - zero - band.height) / 8) * 8; line < right; line += 8) {
    pen.moveTo(line, band.top + band.height);
    pen.lineTo(line + band.height, band.top);
  }
  pen.stroke();
  pen.restore();
}

function drawTicks(pen, band, x, right) {
  pen.fillStyle = ink.soft;
  pen.font = ink.font;
  const step = 5; // seconds
  for (let tick = Math.ceil((right - span) / step) * step; tick <= right; tick += step) {
    const text = clock(tick);
    const half = pen.measureText(text).width / 2;
    const place = x(tick);
    pen.fillRect(Math.round(place), band.top, 1, 5);
    if (place > half && place < band.width - half) pen.fillText(text, place - half, band.top + 18);
  }
}
