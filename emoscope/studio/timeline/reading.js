// What is read from frames: the rules of emoscope/timeline.py, so that smoothing and classes can change in the browser.
//
// `rows` are nine Float32Arrays of probabilities, one per class; `silent` has 255 where a frame is silent. A run is
// [class, first frame, frame after the last]. No function here knows the page.

const CLASSES = 9;
const SILENT = 9; // the class of silence, after the nine emotions
const SHORTEST = 0.3; // seconds; nothing shorter can be heard as an emotion of its own

/** Return {rows, silent, count} of ten rows of bytes: square roots of raw probabilities, then silence. */
function unpack(bytes) {
  const count = bytes.length / (CLASSES + 1);
  const rows = Array.from({ length: CLASSES }, (_, channel) => new Float32Array(bytes.subarray(channel * count, (channel + 1) * count)));
  for (const row of rows) for (let frame = 0; frame < count; frame++) row[frame] *= row[frame];
  return { rows: normalised(rows, count), silent: bytes.subarray(CLASSES * count), count };
}

/** Divide every frame by its sum, in place; where nothing is left of any class, all that are there count the same. */
function normalised(rows, count) {
  const there = rows.filter(Boolean);
  const sums = new Float64Array(count);
  for (const row of there) for (let frame = 0; frame < count; frame++) sums[frame] += row[frame];
  for (const row of there) {
    for (let frame = 0; frame < count; frame++) row[frame] = sums[frame] > 0 ? row[frame] / sums[frame] : 1 / there.length;
  }
  return rows;
}

/** Return how many frames on either side a mean of about so many seconds takes in. */
const reachOf = (seconds, hop) => Math.floor(Math.round(seconds / hop) / 2);

/** Return the rows of the active classes smoothed and brought to a sum of 1 again; a class that is off has null. */
function smoothed({ rows, silent, count }, active, reach) {
  const chosen = rows.map((row, channel) => (active[channel] ? row : null));
  if (reach <= 0) return normalised(chosen.map((row) => row && row.slice()), count);
  const sounding = windowSums(Uint8Array.from(silent, (mark) => (mark ? 0 : 1)), reach);
  const deaf = sounding.includes(0); // somewhere no frame sounds within reach
  const sums = chosen.map((row) => {
    if (!row) return null;
    const heard = windowSums(row, reach, silent);
    const all = deaf ? windowSums(row, reach) : heard;
    const smooth = new Float32Array(count);
    for (let frame = 0; frame < count; frame++) smooth[frame] = Math.max(0, sounding[frame] ? heard[frame] : all[frame]);
    return smooth;
  });
  return normalised(sums, count);
}

/** Return the sum of each value and up to `reach` on either side; those that are `silent` count as 0. */
function windowSums(values, reach, silent = null) {
  const count = values.length;
  const sums = new Float64Array(count + 1);
  for (let at = 0; at < count; at++) sums[at + 1] = sums[at] + (silent !== null && silent[at] ? 0 : values[at]);
  const window = new Float64Array(count);
  for (let at = 0; at < count; at++) window[at] = sums[Math.min(at + reach + 1, count)] - sums[Math.max(at - reach, 0)];
  return window;
}

/** Return the likeliest class of every frame, of equals the first, and SILENT where it is silent. */
function winners(rows, silent) {
  const best = new Uint8Array(silent.length);
  for (let frame = 0; frame < best.length; frame++) best[frame] = silent[frame] ? SILENT : bestAt(rows, frame);
  return best;
}

function bestAt(rows, frame) {
  let best = -1;
  for (let channel = 0; channel < CLASSES; channel++) {
    if (rows[channel] && (best < 0 || rows[channel][frame] > rows[best][frame])) best = channel;
  }
  return best;
}

function runsOf(classes) {
  const runs = [];
  for (let frame = 0; frame < classes.length; frame++) {
    if (frame && classes[frame] === classes[frame - 1]) runs[runs.length - 1][2] = frame + 1;
    else runs.push([classes[frame], frame, frame + 1]);
  }
  return runs;
}

/**
 * Give every run under `shortest` frames to its longer neighbour (of equals to the one before), the shortest run first,
 * of equals the earlier. Neighbours of one class are one run afterwards. What a run becomes is longer than what is
 * worked on, so it is enough to have a shelf for every length.
 */
function mergeShort(runs, shortest) {
  const links = runs.map(([winner, first, last], index) => ({ index, winner, first, last, before: null, after: null, taken: false }));
  links.forEach((link, at) => Object.assign(link, { before: links[at - 1] ?? null, after: links[at + 1] ?? null }));
  const waiting = Array.from({ length: shortest }, () => []);
  const wait = (link) => lengthOf(link) < shortest && waiting[lengthOf(link)].push(link);
  links.forEach(wait);
  for (let length = 1; length < shortest; length++) {
    for (const link of waiting[length].sort((one, other) => one.index - other.index)) {
      const neighbours = [link.before, link.after].filter(Boolean);
      if (link.taken || lengthOf(link) !== length || !neighbours.length) continue;
      const host = neighbours.reduce((one, other) => (lengthOf(other) > lengthOf(one) ? other : one));
      take(host, link);
      for (const other of [host.before, host.after]) if (other && other.winner === host.winner) take(host, other);
      wait(host);
    }
  }
  return links.filter((link) => !link.taken).map(({ winner, first, last }) => [winner, first, last]);
}

const lengthOf = (link) => link.last - link.first;

/** Make a neighbour part of a link. */
function take(link, other) {
  other.taken = true;
  if (other === link.before) {
    Object.assign(link, { first: other.first, before: other.before });
    if (link.before) link.before.after = link;
  } else {
    Object.assign(link, { last: other.last, after: other.after });
    if (link.after) link.after.before = link;
  }
}

/** Return the segments {class, start, end, probability}: the mean of the class over its sounding frames. */
function segmentsOf(rows, silent, { hop, start, seconds }) {
  const timeOf = (frame) => Math.round(1e6 * (frame === silent.length ? start + seconds : start + hop * frame)) / 1e6;
  return mergeShort(runsOf(winners(rows, silent)), Math.round(SHORTEST / hop)).map(([winner, first, last]) => {
    let sum = 0;
    let count = 0;
    for (let frame = first; frame < last && winner !== SILENT; frame++) {
      if (silent[frame]) continue;
      sum += rows[winner][frame];
      count++;
    }
    return { class: winner, start: timeOf(first), end: timeOf(last), probability: count ? sum / count : 0 };
  });
}

/** Return where the dominant emotion changes: {time, before, after}; silence in between is no change. */
function turningPoints(segments) {
  const sounding = segments.filter((segment) => segment.class !== SILENT);
  return sounding.flatMap((segment, at) => {
    const before = sounding[at - 1];
    return before && before.class !== segment.class ? [{ time: segment.start, before: before.class, after: segment.class }] : [];
  });
}

/** Return each class's share of the sounding time; all are 0 when there is only silence. */
function sharesOf(segments) {
  const seconds = new Array(CLASSES).fill(0);
  for (const segment of segments) if (segment.class !== SILENT) seconds[segment.class] += segment.end - segment.start;
  const total = seconds.reduce((sum, one) => sum + one, 0);
  return seconds.map((one) => (total ? one / total : 0));
}

// Ever coarser copies, so that a drawing never touches many more values than pixels ----------------------------------

/** Return levels {rows, silent, count, step}, each with the means of two frames of the one before. */
function pyramid(rows, silent) {
  const levels = [{ rows, silent, count: silent.length, step: 1 }];
  for (let last = levels[0]; last.count > 1024; last = levels[levels.length - 1]) {
    const count = Math.ceil(last.count / 2);
    const coarse = last.rows.map((row) => row && halved(row, new Float32Array(count)));
    levels.push({ rows: coarse, silent: halved(last.silent, new Uint8Array(count)), count, step: 2 * last.step });
  }
  return levels;
}

/** Return levels {values, step} of one row. */
function pyramidOf(values) {
  const levels = [{ values, step: 1 }];
  for (let last = levels[0]; last.values.length > 1024; last = levels[levels.length - 1]) {
    levels.push({ values: halved(last.values, new Float32Array(Math.ceil(last.values.length / 2))), step: 2 * last.step });
  }
  return levels;
}

function halved(fine, coarse) {
  const pairs = fine.length >> 1;
  for (let at = 0; at < pairs; at++) coarse[at] = (fine[2 * at] + fine[2 * at + 1]) / 2;
  if (coarse.length > pairs) coarse[pairs] = fine[fine.length - 1];
  return coarse;
}

/** Return levels {lows, highs, step} of a waveform's bounds, each with half the columns of the one before. */
function halvings(bounds) {
  let lows = new Int8Array(bounds.length / 2);
  let highs = new Int8Array(bounds.length / 2);
  for (let at = 0; at < lows.length; at++) [lows[at], highs[at]] = [bounds[2 * at], bounds[2 * at + 1]];
  const levels = [{ lows, highs, step: 1 }];
  while (lows.length > 256) {
    lows = mergedPairs(lows, Math.min);
    highs = mergedPairs(highs, Math.max);
    levels.push({ lows, highs, step: 2 * levels[levels.length - 1].step });
  }
  return levels;
}

function mergedPairs(fine, merge) {
  const coarse = new Int8Array(Math.ceil(fine.length / 2));
  for (let at = 0; at < coarse.length; at++) coarse[at] = merge(fine[2 * at], fine[Math.min(2 * at + 1, fine.length - 1)]);
  return coarse;
}
