// What the visitor sets, and a new recording in place of the one before.

let turn = 0; // counts loads, so that a slow one does not overwrite a newer one
let rereading = false; // the slider has moved, and the frames are read again before the next drawing

/** Read the frames with the visitor's smoothing and classes. */
function read() {
  const { frames, hop } = data;
  const rows = smoothed(frames, active, reachOf(smooth, hop));
  const asWritten = smooth === data.smooth && active.every(Boolean);
  const segments = asWritten ? data.segments : segmentsOf(rows, frames.silent, data);
  shown = { levels: pyramid(rows, frames.silent), segments, points: turningPoints(segments), curve: data.evidence && readCurve() };
  find(".note").textContent = notes().join(" ");
  buildTable();
  invalidate(true);
  place();
}

/** Return the evidence smoothed as the emotions are, {levels, high, span}. */
function readCurve() {
  const { values } = data.evidence;
  const sums = windowSums(values, reachOf(smooth, data.hop));
  const high = sums.reduce((most, one) => Math.max(most, one), 0);
  const low = sums.reduce((least, one) => Math.min(least, one), 0);
  return { levels: pyramidOf(sums), high, span: high - low || 1 };
}

/** Say where the downloads differ from what is seen. */
function notes() {
  const { smooth: written } = data;
  const found = [];
  if (smooth !== written) found.push(written ? say("timeline.note.smooth", { seconds: written }) : say("timeline.note.raw"));
  if (!active.every(Boolean)) found.push(say("timeline.note.classes"));
  return found;
}

function tellSmoothing() {
  find(".amount").textContent = smooth ? say("timeline.amount", { seconds: smooth.toFixed(1) }) : say("timeline.raw");
}

function setSmoothing(seconds) {
  smooth = seconds;
  tellSmoothing();
  if (rereading) return;
  rereading = true;
  requestAnimationFrame(() => {
    rereading = false;
    if (data) read();
  });
}

function setClasses(next) {
  if (!next.some(Boolean)) return; // something must be left to show
  active = next;
  [...find(".legend").children].forEach((item, channel) => {
    item.querySelector(".class").setAttribute("aria-pressed", String(active[channel]));
  });
  find(".all").hidden = active.every(Boolean);
  read();
}

const switchClass = (channel) => setClasses(active.map((on, at) => (at === channel ? !on : on)));
const keepOnly = (channel) => setClasses(active.map((_, at) => at === channel));

function setShape(next) {
  shape = next;
  for (const button of element.querySelectorAll("[data-shape]")) {
    button.setAttribute("aria-pressed", String(button.dataset.shape === shape));
  }
  invalidate();
}

find(".smoothing input").addEventListener("input", (event) => setSmoothing(Number(event.target.value)));
find(".all").addEventListener("click", () => setClasses(emotions.map(() => true)));
find(".replay").addEventListener("click", () => playRange(data.evidence.from, data.evidence.to));
for (const button of element.querySelectorAll("[data-shape]")) {
  button.addEventListener("click", () => setShape(button.dataset.shape));
}

// Loading ------------------------------------------------------------------------------------------------------------

async function fetched(file, kind) {
  const answer = await fetch(file.url);
  if (!answer.ok) throw new Error("status " + answer.status);
  return answer[kind]();
}

async function load() {
  const mine = ++turn;
  const value = props.value;
  const stillWanted = () => mine === turn && element.isConnected;
  data = shown = null;
  sound.pause();
  if (group) tellEnds(false);
  find(".card").hidden = !value;
  if (!value) return;
  find(".trouble").textContent = "";
  const files = await Promise.all([
    fetched(value.frames, "arrayBuffer"),
    fetched(value.wave, "arrayBuffer"),
    fetched(value.segments, "json"),
    value.evidence && fetched(value.evidence.curve, "arrayBuffer"),
    value.said && fetched(value.said, "json"),
  ]).catch(() => null);
  if (!stillWanted()) return;
  if (!files) return void (find(".trouble").textContent = say("timeline.trouble"));
  const [frames, wave, segments, curve, said] = files;
  open(value, new Uint8Array(frames), new Int8Array(wave), segments, curve && new Int8Array(curve), said);
  await loadSound(value.audio, value.audio_comes, stillWanted);
}

function open(value, frames, wave, segments, curve, said) {
  const { hop, start, seconds, wave_hop: waveHop } = value;
  data = {
    hop,
    start,
    seconds,
    waveHop,
    smooth: value.smooth,
    frames: unpack(frames),
    wave: halvings(wave),
    segments: segments.map(([winner, from, to, probability]) => ({ class: winner, start: from, end: to, probability })),
    evidence: value.evidence && openEvidence(value.evidence, curve),
    ...openSaid(said),
  };
  active = emotions.map(() => true);
  smooth = value.smooth;
  hover = null;
  parked = 0;
  view = { from: start, to: start + seconds };
  showEvidence();
  makeRoom();
  buildLists();
  find(".all").hidden = true;
  find(".smoothing input").max = Math.max(3, smooth);
  find(".smoothing input").value = smooth;
  plot.setAttribute("aria-valuemin", start.toFixed(2));
  plot.setAttribute("aria-valuemax", endOf().toFixed(2));
  find(".of").textContent = "/ " + clock(endOf());
  tellSmoothing();
  read();
  choose(null);
  showAll();
  if (group) tellEnds(true);
  element.dataset.ready = String(turn);
}

/** Return {sentences, events, apart} with values by name, apart where a voice disagrees; all are empty without words. */
function openSaid(said) {
  const { sentences, events } = said ?? { sentences: [], events: [] };
  return {
    sentences: sentences.map(([winner, start, end, probability, text, voice, apart]) => {
      return { class: winner, start, end, probability, text, voice, apart };
    }),
    apart: sentences.some(([, , , , , , apart]) => apart),
    events: events.map(([start, end, title]) => ({ start, end, title: title[language] })),
  };
}

function openEvidence({ label, against, start, end, share }, values) {
  const [mine, other] = [classOf(label), against === null ? -1 : classOf(against)];
  const names = { label: titleOf(mine), against: other < 0 ? "" : titleOf(other) };
  const which = other < 0 ? ".alone" : "";
  return {
    values,
    label: mine,
    against: other,
    from: start,
    to: end,
    caption: say("timeline.evidence" + which, names),
    sentence: say("timeline.decided" + which, { ...names, from: clock(start), to: clock(end), share: percent(share) }),
  };
}

function showEvidence() {
  find(".decided").hidden = !data.evidence;
  if (!data.evidence) return;
  find(".decided .sentence").textContent = data.evidence.sentence;
  find(".decided").style.setProperty("--colour", emotions[data.evidence.label].colour);
}

find(".card").classList.toggle("compact", props.height === "compact");
if (props.height === "compact") find(".parts").open = false;
watch("value", load);
load();
