// One lane of the picture each: the ruler, the sound, the emotions, the segments, and what decided the verdict.
//
// `pen` draws in CSS pixels; `lane` is {top, height, width}; `ink` has the colours of light or dark.

const EMOJI_FONT = "'Apple Color Emoji', 'Segoe UI Emoji', 'Noto Color Emoji', sans-serif";
const STEPS = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800]; // seconds between two ticks
const FINE = 4; // frames; where a value stands for more, gaps between the areas would be all that one sees
const SPARSE = 4; // pixels between two values from which on areas are drawn with smooth edges and gaps
const brush = document.createElement("canvas");
const BAR = 2.5; // pixels of the narrowest bar of the waveform

function drawRuler(pen, lane, ink) {
  const span = view.to - view.from;
  const step = STEPS.find((one) => span / one <= lane.width / 76) ?? 3600;
  pen.fillStyle = ink.soft;
  pen.font = "11px " + ink.font;
  pen.textBaseline = "alphabetic";
  for (let tick = Math.ceil(view.from / step - 1e-9); tick * step <= view.to + 1e-9; tick++) {
    const x = Math.round(xOf(tick * step, lane.width));
    const text = clock(tick * step).slice(0, step < 0.1 ? undefined : step < 1 ? -1 : -3);
    const wide = pen.measureText(text).width;
    pen.globalAlpha = 0.5;
    pen.fillRect(clamp(x, 0, lane.width - 1), lane.top + lane.height - 6, 1, 5);
    pen.globalAlpha = 1;
    pen.fillText(text, clamp(x - wide / 2, 0, lane.width - wide), lane.top + lane.height - 9);
  }
}

/** Draw bars that belong to times and not to pixels, so that they keep their shape while one pans. */
function drawWave(pen, lane, ink) {
  const perPixel = (view.to - view.from) / lane.width;
  const level = data.wave.find(({ step }) => (step * data.waveHop) / perPixel >= BAR) ?? data.wave[data.wave.length - 1];
  const seconds = level.step * data.waveHop;
  const middle = lane.top + lane.height / 2;
  const first = Math.max(0, Math.floor((view.from - data.start) / seconds));
  const last = Math.min(level.lows.length, Math.ceil((view.to - data.start) / seconds));
  const width = seconds / perPixel;
  const bar = Math.max(1, width > 8 ? width - 1 : width * 0.66);
  pen.fillStyle = ink.wave;
  pen.beginPath();
  for (let at = first; at < last; at++) {
    const up = Math.max(0.6, (level.highs[at] / 127) * (lane.height / 2));
    const down = Math.max(0.6, (-level.lows[at] / 127) * (lane.height / 2));
    pen.rect(xOf(data.start + at * seconds, lane.width), middle - up, bar, up + down);
  }
  pen.fill();
}

/** Return the level with about so many values per pixel, and which of its frames are seen: {level, first, last, ...}. */
function visible(from, to, width, density = 1) {
  const wanted = (to - from) / data.hop / width / density; // frames per value
  const level = shown.levels.findLast((one) => one.step <= Math.max(1, 2 * wanted)) ?? shown.levels[0];
  const seconds = level.step * data.hop;
  const first = clamp(Math.floor((from - data.start) / seconds) - 1, 0, level.count - 1);
  const last = clamp(Math.ceil((to - data.start) / seconds) + 1, first + 1, level.count);
  return { level, first, last, seconds, from, to };
}

/** Return where the values stand, in pixels. */
function placesOf({ first, last, seconds, from, to }, width) {
  const left = data.start - from + 0.5 * seconds;
  return Float32Array.from({ length: last - first }, (_, at) => ((left + (first + at) * seconds) / (to - from)) * width);
}

/** Draw the probabilities on top of each other, in the order of the legend, angry at the bottom. */
function drawArea(pen, lane, part, ink) {
  if ((part.last - part.first) * SPARSE > lane.width) return paintArea(pen, lane, part, ink);
  const x = placesOf(part, lane.width);
  let floor = new Float32Array(x.length);
  const ends = edges(lane, part);
  part.level.rows.forEach((row, channel) => {
    if (!row) return;
    const roof = floor.map((height, at) => height + row[part.first + at]);
    tracePatch(pen, lane, x, floor, roof, ends);
    pen.fillStyle = emotions[channel].colour;
    pen.fill();
    pen.strokeStyle = ink.paper; // a thin gap tells neighbours apart without their colours
    pen.lineWidth = 0.75;
    pen.stroke();
    floor = roof;
  });
}

/** Do the same pixel by pixel: areas with a corner in every column take the browser ten times as long. */
function paintArea(pen, lane, { level, first, last, seconds, from, to }, ink) {
  const scale = pen.getTransform().a;
  const [width, height] = [Math.round(lane.width * scale), Math.round(lane.height * scale)];
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const there = level.rows
    .map((row, channel) => ({ row, colour: pixelOf(emotions[channel].colour), edge: pixelOf(emotions[channel].colour, ink.paper) }))
    .filter(({ row }) => row);
  for (let column = 0; column < width; column++) {
    const time = from + ((column + 0.5) / width) * (to - from);
    if (time < data.start || time > endOf()) continue;
    const place = clamp((time - data.start) / seconds - 0.5, first, last - 1);
    const before = Math.floor(place);
    const after = Math.min(before + 1, last - 1);
    let share = 0;
    let below = height;
    for (const { row, colour, edge } of there) {
      share += row[before] + (place - before) * (row[after] - row[before]);
      const roof = Math.max(0, Math.round((1 - share) * height));
      for (let y = roof; y < below; y++) pixels[y * width + column] = colour;
      if (level.step <= FINE && below - roof > 2 && roof > 0) pixels[roof * width + column] = edge;
      below = Math.min(below, roof);
    }
  }
  brush.width = width;
  brush.height = height;
  brush.getContext("2d").putImageData(image, 0, 0);
  pen.drawImage(brush, 0, lane.top, lane.width, lane.height);
}

/** Return a colour, or its half with another one, as the four bytes of a pixel. */
function pixelOf(colour, other = colour) {
  const [one, two] = [bytesOf(colour), bytesOf(other)];
  return new Uint32Array(Uint8Array.of(...one.map((byte, at) => (byte + two[at]) / 2), 255).buffer)[0];
}

/** Return where the recording begins and ends in a lane; the axis may be longer. */
function edges(lane, { from, to }) {
  const x = (time) => ((time - from) / (to - from)) * lane.width;
  return { from: Math.max(0, x(data.start)), to: Math.min(lane.width, x(endOf())) };
}

function tracePatch(pen, lane, x, floor, roof, { from, to }) {
  const y = (share) => lane.top + (1 - share) * lane.height;
  const end = x.length - 1;
  pen.beginPath();
  pen.moveTo(Math.min(from, x[0]), y(roof[0]));
  for (let at = 0; at <= end; at++) pen.lineTo(x[at], y(roof[at]));
  pen.lineTo(Math.max(to, x[end]), y(roof[end]));
  pen.lineTo(Math.max(to, x[end]), y(floor[end]));
  for (let at = end; at >= 0; at--) pen.lineTo(x[at], y(floor[at]));
  pen.lineTo(Math.min(from, x[0]), y(floor[0]));
  pen.closePath();
}

function drawLines(pen, lane, part, ink) {
  const y = (share) => lineY(lane, share);
  pen.fillStyle = ink.line;
  for (const share of [0, 0.5, 1]) pen.fillRect(0, Math.round(y(share)), lane.width, 1);
  pen.lineJoin = "bevel";
  const places = placesOf(part, lane.width);
  part.level.rows.forEach((row, channel) => {
    if (!row) return;
    pen.beginPath();
    places.forEach((x, at) => pen.lineTo(x, y(row[part.first + at])));
    pen.strokeStyle = emotions[channel].colour;
    pen.lineWidth = 2;
    pen.stroke();
  });
}

const lineY = (lane, share) => lane.top + 6 + (1 - share) * (lane.height - 12);

/** Write what the heights of the lines mean; above the hatching of a silent beginning. */
function writeScale(pen, lane, ink) {
  pen.font = "10px " + ink.font;
  pen.textBaseline = "middle";
  for (const share of [0.5, 1]) {
    const [text, y] = [percent(share), lineY(lane, share) + 9];
    pen.fillStyle = ink.paper;
    pen.fillRect(2, y - 7, pen.measureText(text).width + 5, 13);
    pen.fillStyle = ink.soft;
    pen.fillText(text, 4, y);
  }
}

function hatchSilence(pen, lane, { level, first, last, seconds, from, to }, ink) {
  const xAt = (frame) => ((data.start + frame * seconds - from) / (to - from)) * lane.width;
  for (let at = first; at < last; at++) {
    if (level.silent[at] <= 127) continue;
    const begin = at;
    while (at < last && level.silent[at] > 127) at++;
    hatch(pen, xAt(begin), lane.top, xAt(at) - xAt(begin), lane.height, ink);
  }
}

function hatch(pen, left, top, width, height, ink) {
  pen.fillStyle = ink.paper;
  pen.fillRect(left, top, width, height);
  pen.fillStyle = ink.hatching;
  pen.fillRect(left, top, width, height);
}

function drawTurningPoints(pen, area, strip, ink) {
  const y = (area.top + area.height + strip.top) / 2;
  const points = shown.points.filter(({ time }) => time >= view.from && time <= view.to);
  if (points.length > area.width / 8) return; // so close together they would be a grey band
  const dashed = points.length < area.width / 20;
  for (const { time } of points) {
    const x = xOf(time, area.width);
    pen.fillStyle = ink.paper;
    pen.globalAlpha = 0.75;
    for (let dash = area.top; dashed && dash < area.top + area.height; dash += 7) pen.fillRect(x - 0.75, dash, 1.5, 4);
    pen.globalAlpha = 1;
    pen.fillStyle = ink.text;
    pen.beginPath();
    pen.moveTo(x - 4, y - 2.5);
    pen.lineTo(x + 4, y - 2.5);
    pen.lineTo(x, y + 3.5);
    pen.fill();
  }
}

/** Draw the segments; where they are narrower than pixels, what is likeliest on average in every place. */
function drawStrip(pen, lane, part, ink) {
  const [first, last] = [segmentAt(view.from), segmentAt(view.to)];
  if (last - first < lane.width / 3) {
    for (const segment of shown.segments.slice(first, last + 1)) drawSegment(pen, lane, segment, ink);
    return;
  }
  const { level, seconds } = part;
  const classes = Array.from({ length: part.last - part.first }, (_, at) => {
    return level.silent[part.first + at] > 127 ? SILENT : bestAt(level.rows, part.first + at);
  });
  for (const [winner, begin, end] of runsOf(classes)) {
    const [left, right] = [begin, end].map((at) => xOf(data.start + (part.first + at) * seconds, lane.width));
    if (winner === SILENT) hatch(pen, left, lane.top, right - left, lane.height, ink);
    else {
      pen.fillStyle = emotions[winner].colour;
      pen.fillRect(left, lane.top, right - left, lane.height);
    }
  }
}

function drawSegment(pen, lane, segment, ink) {
  const left = Math.max(-8, xOf(segment.start, lane.width));
  const width = Math.max(1, Math.min(lane.width + 8, xOf(segment.end, lane.width)) - left - 1.5);
  if (segment.class === SILENT) return hatch(pen, left, lane.top, width, lane.height, ink);
  pen.fillStyle = emotions[segment.class].colour;
  if (width < 5) return pen.fillRect(left, lane.top, width, lane.height);
  pen.beginPath();
  pen.roundRect(left, lane.top, width, lane.height, Math.min(6, width / 2));
  pen.fill();
  pen.textBaseline = "middle";
  writeLabel(pen, segment.class, Math.max(left, 0), Math.min(left + width, lane.width), lane.top + lane.height / 2 + 1, ink);
}

/** Draw every sentence in the colour of its words, with a foot in the colour of the voice where the two disagree. */
function drawSentences(pen, lane, ink) {
  for (const sentence of data.sentences) {
    if (sentence.end < view.from || sentence.start > view.to) continue;
    const left = Math.max(-8, xOf(sentence.start, lane.width));
    const width = Math.max(1, Math.min(lane.width + 8, xOf(sentence.end, lane.width)) - left - 1.5);
    pen.save();
    pen.beginPath();
    pen.roundRect(left, lane.top, width, lane.height, Math.min(6, width / 2));
    pen.clip();
    pen.fillStyle = emotions[sentence.class].colour;
    pen.fillRect(left, lane.top, width, lane.height);
    if (sentence.apart) drawFoot(pen, left, lane, width, emotions[sentence.voice].colour, ink);
    const middle = lane.top + lane.height / 2 - (sentence.apart ? 2 : 0);
    writeSentence(pen, sentence, Math.max(left, 0), Math.min(left + width, lane.width), middle, ink);
    pen.restore();
  }
}

function drawFoot(pen, left, lane, width, colour, ink) {
  const top = lane.top + lane.height - 7;
  pen.fillStyle = ink.paper;
  pen.fillRect(left, top - 1.5, width, 1.5);
  pen.fillStyle = colour;
  pen.fillRect(left, top, width, 7);
}

/** Write as much of a sentence as there is room for. */
function writeSentence(pen, sentence, left, right, y, ink) {
  const room = right - left - 12;
  if (room < 24) return;
  pen.font = "12px " + ink.font;
  pen.textBaseline = "middle";
  pen.fillStyle = isDark(emotions[sentence.class].colour) ? "#ffffff" : "#16181a";
  const share = room / pen.measureText(sentence.text).width;
  const letters = [...sentence.text]; // characters, not halves of them
  const cut = letters.slice(0, Math.max(1, Math.floor(share * letters.length) - 1)).join("") + "…";
  pen.fillText(share < 1 ? cut : sentence.text, left + 6, y, room);
}

/** Name what else was heard where it was: laughter, music, …; what has no room beside the one before is left out. */
function drawEvents(pen, lane, ink) {
  pen.font = "12px " + ink.font;
  pen.textBaseline = "middle";
  pen.fillStyle = ink.soft;
  let free = 0;
  for (const { start, end, title } of data.events) {
    if (end < view.from || start > view.to) continue;
    const left = Math.max(free, xOf(start, lane.width), 0);
    const text = "♪ " + title;
    const wide = pen.measureText(text).width;
    if (left > xOf(end, lane.width) || left + wide > lane.width) continue;
    pen.fillText(text, left, lane.top + lane.height / 2 + 2);
    free = left + wide + 12;
  }
}

/** Write emoji and name into a segment, or the emoji alone, or nothing, as there is room. */
function writeLabel(pen, winner, left, right, y, ink) {
  const room = right - left - 12;
  pen.font = "14px " + EMOJI_FONT; // apart from the name: the digits and letters of an emoji font are odd
  const wide = pen.measureText(emojiOf(winner)).width;
  if (wide > room) return;
  pen.fillStyle = isDark(emotions[winner].colour) ? "#ffffff" : "#16181a";
  pen.fillText(emojiOf(winner), left + 6, y);
  pen.font = "13px " + ink.font;
  if (wide + 6 + pen.measureText(titleOf(winner)).width <= room) pen.fillText(titleOf(winner), left + 12 + wide, y);
}

/** Return red, green and blue of "#rrggbb", from 0 to 255. */
const bytesOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

function isDark(hex) {
  const [red, green, blue] = bytesOf(hex).map((byte) => (byte / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18;
}

/** Draw what every moment added to the verdict, above the line for it and below for the next likely emotion. */
function drawEvidence(pen, lane, ink) {
  const { label, against, from, to } = data.evidence;
  const [left, right] = [xOf(from, lane.width), xOf(to, lane.width)];
  pen.fillStyle = ink.band;
  pen.beginPath();
  pen.roundRect(left, lane.top, right - left, lane.height, 5);
  pen.fill();
  const wanted = (view.to - view.from) / data.hop / lane.width;
  const { levels, high, span } = shown.curve;
  const level = levels.findLast((one) => one.step <= Math.max(1, 2 * wanted)) ?? levels[0];
  const seconds = level.step * data.hop;
  const first = Math.max(0, Math.floor((view.from - data.start) / seconds) - 1);
  const last = Math.min(level.values.length, Math.ceil((view.to - data.start) / seconds) + 1);
  const base = lane.top + 2 + ((lane.height - 4) * high) / span;
  const scale = (lane.height - 4) / span;
  for (const [sign, winner] of [[1, label], [-1, against]]) {
    if (winner < 0) continue;
    pen.beginPath();
    pen.moveTo(xOf(data.start + first * seconds, lane.width), base);
    for (let at = first; at < last; at++) {
      const x = xOf(data.start + (at + 0.5) * seconds, lane.width);
      pen.lineTo(x, base - sign * scale * Math.max(0, sign * level.values[at]));
    }
    pen.lineTo(xOf(Math.min(endOf(), data.start + last * seconds), lane.width), base);
    pen.fillStyle = emotions[winner].colour;
    pen.fill();
  }
  pen.fillStyle = ink.soft;
  pen.globalAlpha = 0.5;
  pen.fillRect(0, Math.round(base), lane.width, 1);
  pen.globalAlpha = 1;
}
