// The picture: which lane stands where, and drawing it once per frame of the screen, however much has changed.
//
// The playhead, the pointer and the chosen range are nodes above the picture: they move without drawing it again.

const picture = find(".picture");
const sketch = find(".sketch");
const WIDE = 620; // pixels from which on a caption may be long
const GAP = 8; // pixels between two lanes

let asked = false; // a drawing is due
let stale = false; // the overview's too
let ink = null; // the colours of light or dark

/** Return {ruler, wave, area, strip, heading, words, events, caption, evidence}, each {top, height, width}. */
function lanes() {
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  const said = saidLanes();
  const compact = height - sum(said) < 300;
  const heights = { ruler: 24, wave: compact ? 40 : 62, area: 0, strip: 30, ...said, caption: 0, evidence: 0 };
  if (data.evidence) Object.assign(heights, { caption: 20, evidence: compact ? 34 : 46 });
  const gaps = { wave: GAP, area: 11, strip: data.evidence ? 6 : 0 };
  heights.area = Math.max(40, height - sum(heights) - sum(gaps));
  let top = 0;
  return Object.fromEntries(
    Object.entries(heights).map(([name, tall]) => {
      const lane = { top, height: tall, width };
      top += tall + (gaps[name] ?? 0);
      return [name, lane];
    }),
  );
}

const sum = (heights) => Object.values(heights).reduce((total, one) => total + one, 0);

/** Return how high the lanes of what is said are, 0 where there are no words. */
function saidLanes() {
  return { heading: data.sentences.length ? 20 : 0, words: data.sentences.length ? 30 : 0, events: data.events.length ? 20 : 0 };
}

/** Make the picture higher by the lanes of what is said. */
function makeRoom() {
  plot.style.setProperty("--more", sum(saidLanes()) + "px");
}

/** Ask for a drawing; `all` draws the overview too, whose picture does not depend on the window. */
function invalidate(all = false) {
  stale ||= all;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  if (!shown || !plot.clientWidth) return;
  ink ??= mixInk();
  const pen = clean(picture, plot.clientWidth, plot.clientHeight);
  const { ruler, wave, area, strip, heading, words, events, caption, evidence } = lanes();
  drawRuler(pen, ruler, ink);
  drawWave(pen, wave, ink);
  const part = visible(view.from, view.to, area.width, shape === "lines" ? 0.5 : 1);
  pen.save();
  pen.beginPath();
  const { from, to } = edges(area, view);
  pen.roundRect(from, area.top, to - from, area.height, 8);
  pen.clip();
  if (shape === "area") drawArea(pen, area, part, ink);
  else drawLines(pen, area, part, ink);
  hatchSilence(pen, area, part, ink);
  if (shape === "lines") writeScale(pen, area, ink);
  pen.restore();
  drawTurningPoints(pen, area, strip, ink);
  drawStrip(pen, strip, part, ink);
  if (data.sentences.length) {
    writeCaption(pen, heading, say("timeline.said" + (data.apart && heading.width > WIDE ? ".apart" : "")));
    drawSentences(pen, words, ink);
    drawEvents(pen, events, ink);
  }
  if (data.evidence) {
    writeCaption(pen, caption, data.evidence.caption);
    drawEvidence(pen, evidence, ink);
  }
  if (stale) drawOverview();
  stale = false;
}

function writeCaption(pen, lane, text) {
  pen.fillStyle = ink.soft;
  pen.font = "12px " + ink.font;
  pen.textBaseline = "alphabetic";
  pen.fillText(text, 0, lane.top + lane.height - 5);
}

function drawOverview() {
  const [width, height] = [overview.clientWidth, overview.clientHeight];
  const pen = clean(sketch, width, height);
  const { from, to } = limits();
  const lane = { top: 0, height, width };
  const part = visible(from, to, width);
  paintArea(pen, lane, part, ink);
  hatchSilence(pen, lane, part, ink);
}

/** Return a pen for an empty canvas of this size. */
function clean(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [wide, tall] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== tall) Object.assign(canvas, { width: wide, height: tall });
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

function mixInk() {
  const style = getComputedStyle(find(".card"));
  const colour = (variable) => style.getPropertyValue(variable).trim();
  return {
    text: colour("--body-text-color"),
    soft: colour("--body-text-color-subdued"),
    paper: inHex(colour("--block-background-fill")),
    wave: colour("--wave"),
    line: colour("--faint"),
    band: colour("--band"),
    font: style.fontFamily,
    hatching: hatching(colour("--hatch")),
  };
}

/** Return a colour that has a name as "#rrggbb". */
function inHex(colour) {
  const pen = sketch.getContext("2d");
  pen.fillStyle = colour;
  return pen.fillStyle;
}

/** Return a pattern of slanted lines. */
function hatching(colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const x of [-8, 0, 8]) {
    pen.moveTo(x - 1, 9);
    pen.lineTo(x + 9, -1);
  }
  pen.stroke();
  return picture.getContext("2d").createPattern(tile, "repeat");
}

function repaint() {
  ink = null;
  invalidate(true);
}

new ResizeObserver(() => invalidate(true)).observe(plot);
new MutationObserver(repaint).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light and dark
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
