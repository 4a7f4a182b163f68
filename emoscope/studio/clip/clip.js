// Plays the sound of one run, wherever on the tab it was asked for. `value` is a row of `past` with its `audio`, or null.
// It triggers "show" with the run.
const find = (selector) => element.querySelector(selector);
const { language, say, fill, clock } = window.emoscope;
const emotions = new Map(props.emotions.map((emotion) => [emotion.name, emotion]));
const sound = find(".sound");
const [PLAY, PAUSE] = ["M8 5.5v13l11-6.5z", "M7 5h4v14H7zM13 5h4v14h-4z"];

function start() {
  window.dispatchEvent(new CustomEvent("emoscope-plays", { detail: sound })); // the others on the page stop
  sound.play().catch((error) => {
    if (!["AbortError", "NotAllowedError", "NotSupportedError"].includes(error.name)) throw error; // the button is there
  });
}

function told() {
  const row = props.value;
  if (row.silent) return "🔇 " + say("verdict.silence");
  const emotion = emotions.get(row.emotion);
  return emotion.emoji + " " + emotion.title[language] + " " + Math.round(100 * row.confidence) + "%";
}

function tick() {
  const length = Number.isFinite(sound.duration) ? sound.duration : 0;
  if (document.activeElement !== find(".seek") || !sound.paused) find(".seek").value = length ? (1000 * sound.currentTime) / length : 0;
  find(".seek").setAttribute("aria-valuetext", clock(sound.currentTime));
  find(".clock").textContent = clock(sound.currentTime) + " / " + clock(length);
  find(".glyph").setAttribute("d", sound.paused ? PLAY : PAUSE);
  find(".play").setAttribute("aria-label", say(sound.paused ? "history.clip_play" : "history.clip_pause"));
}

function update() {
  const row = props.value;
  find(".card").hidden = !row;
  sound.pause();
  if (!row) return sound.removeAttribute("src");
  find(".name").textContent = row.name;
  find(".sub").textContent = told();
  sound.src = row.audio.url;
  start();
  tick();
}

for (const name of ["play", "pause", "timeupdate", "ended", "loadedmetadata", "seeked"]) sound.addEventListener(name, tick);
sound.addEventListener("error", () => {
  if (sound.hasAttribute("src")) find(".sub").textContent = say("history.clip_trouble");
});
find(".play").addEventListener("click", () => (sound.paused ? start() : sound.pause()));
find(".seek").addEventListener("input", (event) => {
  if (Number.isFinite(sound.duration)) sound.currentTime = (event.target.value / 1000) * sound.duration;
});
find(".open").addEventListener("click", () => trigger("show", { id: props.value.id }));
find(".close").addEventListener("click", () => {
  sound.pause();
  find(".card").hidden = true;
});
function yieldTo(event) {
  if (!element.isConnected) return window.removeEventListener("emoscope-plays", yieldTo);
  if (event.detail !== sound) sound.pause();
}
window.addEventListener("emoscope-plays", yieldTo);

fill(element);
watch("value", update);
update();
