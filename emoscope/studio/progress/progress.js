// Shows how far something is. `value` is {what, done, left}: `done` from 0 to 1, `left` the seconds it will still take
// or null; or null when nothing is being done. Between two values the seconds are counted down here.
const find = (selector) => element.querySelector(selector);
const { say, fill } = window.emoscope;
let ends = null; // when it will be over, ms on the page's clock

function words(seconds) {
  if (seconds < 1.5) return say("progress.soon");
  if (seconds < 8) return say("progress.few");
  if (seconds < 55) return say("progress.seconds", { count: 5 * Math.round(seconds / 5) });
  if (seconds < 90) return say("progress.minute");
  if (seconds < 90 * 60) return say("progress.minutes", { count: Math.round(seconds / 60) });
  return say("progress.hours", { count: (seconds / 3600).toFixed(1) });
}

function count() {
  find(".left").textContent = ends === null ? "" : words(Math.max(0, (ends - performance.now()) / 1000));
}

function show() {
  const now = props.value;
  find(".card").hidden = !now;
  if (!now) {
    find(".bar i").style.width = "0";
    return;
  }
  if (find(".what").textContent !== now.what) find(".what").textContent = now.what; // a screen reader is told each once
  const percent = Math.round(100 * now.done);
  find(".bar").setAttribute("aria-valuenow", percent);
  find(".bar i").style.width = percent + "%";
  ends = now.left === null ? null : performance.now() + 1000 * now.left;
  count();
}

setInterval(() => props.value && count(), 1000);
fill(element);
watch("value", show);
show();
