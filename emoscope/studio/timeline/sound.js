// Playing: where the sound is, and the range that is played once or in a loop.

const PATIENCE = 120; // looks for the compressed copy, a second apart

let range = null; // {from, to}: what plays, and no further
let looping = false;
let parked = 0; // seconds into the sound, while it is not there yet

const now = () => (data ? data.start + (sound.readyState ? sound.currentTime : parked) : 0);

function jump(time) {
  parked = clamp(time - data.start, 0, data.seconds);
  if (sound.readyState) sound.currentTime = parked;
}

/** Go to a time; a range that it leaves is given up. */
function seek(time) {
  if (range && (time < range.from - 1e-6 || time > range.to + 1e-6)) choose(null);
  jump(time);
  reveal(now());
  place();
}

function play() {
  if (!sound.hasAttribute("src")) return; // it is still being prepared
  window.dispatchEvent(new CustomEvent("emoscope-plays", { detail: sound })); // the others on the page stop
  sound.play().catch((error) => {
    if (error.name !== "AbortError") throw error; // a pause or another recording came first
  });
}

function toggle() {
  if (!sound.paused) return sound.pause();
  if (range && (now() < range.from - 0.02 || now() >= range.to - 0.02)) jump(range.from);
  else if (now() >= endOf() - 0.02) jump(data.start);
  play();
}

function playRange(from, to) {
  choose({ from, to });
  jump(from);
  reveal(from);
  play();
}

const playSegment = (segment) => playRange(segment.start, segment.end);

/** Play the sentence at a time; where none is being said, go there. */
function playSentence(time) {
  const sentence = sentenceAt(time);
  if (sentence) playSegment(sentence);
  else seek(time);
}

/** Choose what plays; null for all. */
function choose(next) {
  range = next;
  find(".chosen").hidden = !range;
  find(".range").hidden = !range;
  if (range) find(".between").textContent = say("timeline.selected", { from: clock(range.from), to: clock(range.to) });
  else loop(false);
  place();
}

/** Loop the range, or the segment at the playhead when there is none. */
function loop(on) {
  looping = on;
  find(".loop").setAttribute("aria-pressed", String(on));
  if (!on || range) return;
  const segment = shown.segments[segmentAt(now())];
  choose({ from: segment.start, to: segment.end });
}

/** Put one end of the range here. */
function bound(end) {
  const other = range ?? { from: data.start, to: endOf() };
  const [from, to] = end === "from" ? [now(), other.to] : [other.from, now()];
  if (to > from) choose({ from, to });
}

/** Go to the nearest change of emotion on one side. */
function skip(direction) {
  const times = shown.points.map((point) => point.time);
  const [after, before] = [now() + 0.01, now() - (sound.paused ? 0.01 : 0.5)];
  const next = direction > 0 ? times.find((time) => time > after) : times.findLast((time) => time < before);
  seek(next ?? (direction > 0 ? endOf() : data.start));
}

/** Keep to the range. */
function heed() {
  if (!range || sound.paused || now() < range.to - 0.004) return;
  if (looping) return jump(range.from);
  sound.pause();
  jump(range.to);
}

function follow() {
  if (!element.isConnected || !data) return;
  heed();
  if (!sound.paused && !dragging) reveal(now(), 0);
  place();
  if (!sound.paused) requestAnimationFrame(follow);
}

function showPlaying() {
  const playing = !sound.paused;
  const button = find(".play");
  button.setAttribute("aria-label", say(playing ? "timeline.pause" : "timeline.play"));
  button.title = button.getAttribute("aria-label");
  button.classList.toggle("playing", playing);
  find(".glyph").setAttribute("d", playing ? "M7 5h4v14H7zM13 5h4v14h-4z" : "M8 5.5v13l11-6.5z");
  follow();
}

for (const name of ["play", "pause"]) sound.addEventListener(name, showPlaying);
sound.addEventListener("ended", () => {
  if (!data || !looping || !range) return showPlaying();
  jump(range.from);
  play();
});
sound.addEventListener("timeupdate", () => data && heed()); // frames stand still where the page is not seen
sound.addEventListener("seeked", () => place());
sound.addEventListener("loadedmetadata", () => (sound.currentTime = parked));
sound.addEventListener("error", () => {
  if (sound.hasAttribute("src")) find(".trouble").textContent = say("timeline.soundless");
});
onWindow("emoscope-plays", (other) => other !== sound && sound.pause());

find(".play").addEventListener("click", () => data && toggle());
find(".loop").addEventListener("click", () => data && loop(!looping));
find(".clear").addEventListener("click", () => choose(null));
find(".previous").addEventListener("click", () => data && skip(-1));
find(".next").addEventListener("click", () => data && skip(1));
find(".speed select").addEventListener("change", (event) => (sound.playbackRate = Number(event.target.value)));

/** Listen to the other timelines on the page, as long as this one is on it. */
function onWindow(name, heard) {
  listenTo(window, name, heard);
}

function listenTo(target, name, heard) {
  const listener = (event) => (element.isConnected ? heard(event.detail) : target.removeEventListener(name, listener));
  target.addEventListener(name, listener);
}

// What is said, which other parts of the page show as text: they ask for a sentence to be played, and are told the time.
// Each tab may have a timeline; only the one that is seen is meant.

let told = null; // the time that was told last

const speaks = () => data?.sentences.length && plot.clientWidth;

function tellTime(time) {
  if (!speaks() || time === told) return;
  told = time;
  document.dispatchEvent(new CustomEvent("emoscope:time", { detail: { time } }));
}

listenTo(document, "emoscope:play", ({ start, end }) => speaks() && playRange(start, end));

/** Give the sound its file; a compressed copy that is still being made is an empty file until then. */
async function loadSound(file, comes, stillWanted) {
  sound.removeAttribute("src");
  sound.load();
  parked = 0;
  find(".play").disabled = comes;
  for (let looks = 0; comes && looks < PATIENCE; looks++) {
    const answer = await fetch(file.url, { method: "HEAD", cache: "no-store" }).catch(() => null); // null: no network
    if (!stillWanted()) return;
    comes = answer === null || answer.headers.get("content-length") === "0";
    find(".trouble").textContent = comes ? say("timeline.coming") : "";
    if (comes) await new Promise((done) => setTimeout(done, 1000));
  }
  if (!stillWanted()) return;
  if (comes) return void (find(".trouble").textContent = say("timeline.soundless"));
  sound.src = file.url;
  sound.playbackRate = Number(find(".speed select").value);
  find(".play").disabled = false;
}
