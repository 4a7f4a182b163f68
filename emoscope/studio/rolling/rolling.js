// The Live tab's own card: the microphone's buttons, the current emotion, and the last half minute.
//
// `state` goes idle -> asking -> live -> sending -> analysing -> done, or failed, or back to idle. `value` is what Python
// says of the analysis: {state}. The events are "begin" and "finish"; the latter carries the session's token.

let state = "idle";
let microphone = null;
let shift = 0; // ms by which the clock of the picture is behind that of the page
let drawn = 0; // when the last drawing was made, ms
let shownTitle = "";

const BUTTONS = {
  idle: ["start"],
  asking: ["cancel"],
  live: ["stop"],
  sending: ["cancel"],
  analysing: ["cancel"],
  done: ["again"],
  failed: ["retry", "discard"],
};
const STRAIGHT = new Set(["start", "stop", "again", "retry"]); // the accent's colour; the others are quiet

function enter(next) {
  state = next;
  find(".card").dataset.state = next;
  const [main, other] = BUTTONS[next];
  find(".act").dataset.action = main;
  find(".act").classList.toggle("quiet", !STRAIGHT.has(main));
  find(".act .text").textContent = say("live." + main);
  find(".other").hidden = !other;
  find(".other").textContent = other ? say("live." + other) : "";
  find(".other").dataset.action = other ?? "";
  find(".hint").hidden = next !== "idle" || past.end > 0;
  if (next !== "live") {
    find(".meter").style.setProperty("--level", 0);
    headline({ sign: "🎙️", title: say("live.title_" + next), sentence: say("live.sentence_" + next) });
  }
}

function headline({ sign, title, percent = "", sentence = "", colour = "" }) {
  find(".emoji").textContent = sign;
  find(".emoji").style.setProperty("--hue", colour || "var(--color-accent)");
  if (title !== shownTitle) find(".title").textContent = shownTitle = title; // a screen reader is told each once
  find(".percent").textContent = percent;
  if (find(".sentence").textContent !== sentence) find(".sentence").textContent = sentence;
}

function complain(sentence) {
  if (find(".trouble").textContent !== sentence) find(".trouble").textContent = sentence;
}

// What the microphone and the server say -----------------------------------------------------------------------------

const told = {
  since: () => past.settled,
  away: (yes) => complain(yes ? say("live.away") : ""),
  refused: (sentence) => {
    complain(sentence);
    discard();
  },
  ended: () => state === "live" && stop(),
  heard(piece) {
    const level = loudness(piece);
    addLoudness(level, microphone.seconds);
    find(".meter").style.setProperty("--level", level);
    shift = Math.max(shift - 0.02, performance.now() - 1000 * microphone.seconds); // the two clocks drift apart
  },
  answered(answer) {
    addFrames(answer.first, answer.settled, answer.frames);
    if (state !== "live") return;
    show(answer);
    if (answer.trouble) complain(answer.trouble);
    if (answer.full) stop(answer.full);
  },
};

function show(answer) {
  const delay = microphone.seconds - answer.heard;
  element.dataset.delay = delay.toFixed(3);
  find(".delay").textContent = answer.heard ? say("live.delay", { seconds: delay.toFixed(1) }) : "";
  const emotion = emotions.find((each) => each.name === answer.now);
  if (emotion) {
    const percent = Math.round(100 * answer.probability) + "%";
    headline({ sign: emotion.emoji, title: titleOf(emotion), percent, colour: emotion.colour });
  } else if (answer.now) headline({ sign: "🔇", title: say("live.silence"), colour: "#9a9a9a" });
  else headline({ sign: "🎙️", title: say("live.title_live"), sentence: say("live.sentence_live") });
  for (const item of find(".legend").children) item.classList.toggle("best", item.dataset.name === answer.now);
}

function titleOf(emotion) {
  const title = emotion.title[language];
  return title[0].toUpperCase() + title.slice(1);
}

// What a person does -------------------------------------------------------------------------------------------------

async function start() {
  microphone?.leave();
  complain("");
  clearPast();
  shift = -Infinity;
  find(".delay").textContent = "";
  const mine = (microphone = new Microphone(told));
  enter("asking");
  draw(0);
  if (!navigator.mediaDevices || !window.AudioWorkletNode) return deny(say("live.insecure"));
  try {
    await mine.open();
  } catch (error) {
    if (mine === microphone) deny(reasonOf(error));
    else mine.leave();
    return;
  }
  if (mine !== microphone) return mine.leave(); // cancelled while the browser asked
  trigger("begin", {});
  enter("live");
  find(".hint").hidden = true;
  headline({ sign: "🎙️", title: say("live.title_live"), sentence: say("live.sentence_live") });
  requestAnimationFrame(beat);
}

function deny(sentence) {
  discard();
  complain(sentence);
}

function reasonOf(error) {
  if (error instanceof Refused) return error.message;
  const reasons = { NotAllowedError: "live.denied", NotFoundError: "live.none", NotReadableError: "live.busy" };
  return say(reasons[error.name] ?? "live.broken");
}

async function stop(reason = "") {
  if (state !== "live") return;
  const mine = microphone;
  enter("sending");
  await mine.stop();
  if (mine !== microphone || !mine.token) return; // it was discarded meanwhile
  draw(mine.seconds);
  finish();
  complain(reason);
}

function finish() {
  element.dataset.seconds = microphone.seconds;
  enter("analysing");
  complain("");
  trigger("finish", { token: microphone.token });
}

function discard() {
  microphone?.leave();
  microphone = null;
  enter("idle");
}

const ACTIONS = { start, stop: () => stop(), again: start, cancel: discard, retry: finish, discard };

// Time passes --------------------------------------------------------------------------------------------------------

function beat(at) {
  if (state !== "live" || !element.isConnected) return;
  if (at - drawn >= BEAT) {
    drawn = at;
    const seconds = Math.min(microphone.seconds, Math.max(0, (performance.now() - shift) / 1000));
    draw(microphone.seconds ? seconds : 0);
    find(".elapsed").textContent = clock(microphone.seconds);
  }
  requestAnimationFrame(beat);
}

function item(emotion) {
  const node = document.createElement("li");
  node.dataset.name = emotion.name;
  const chip = document.createElement("i");
  chip.style.background = emotion.colour;
  node.append(chip, sign(emotion.emoji), emotion.title[language]);
  return node;
}

function conclude() {
  if (!props.value || state !== "analysing") return;
  enter(props.value.state);
  if (state === "done") microphone = null;
}

for (const name of [".act", ".other"]) {
  find(name).addEventListener("click", (event) => ACTIONS[event.currentTarget.dataset.action]());
}
addEventListener("pagehide", () => microphone && discard());
new ResizeObserver(() => draw(shownUntil)).observe(plot);
new MutationObserver(() => {
  ink = null;
  draw(shownUntil);
}).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light and dark
fill(element);
find(".legend").replaceChildren(...emotions.map(item));
enter("idle");
watch("value", conclude);
