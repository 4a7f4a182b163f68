// The window of time that is drawn: zooming, panning, the overview, and timelines that share one axis.

const NARROWEST = 0.5; // seconds
const group = props.group ?? null;
const overview = find(".overview");

plot.id = element.closest("[id]").id + "-plot";
overview.setAttribute("aria-controls", plot.id);

let view = null; // {from, to}
const others = new Map(); // the ends of the other timelines in the group, by their elements

const xOf = (time, width) => ((time - view.from) / (view.to - view.from)) * width;

/** Return the ends of the axis: of this recording, or of all that share it. */
function limits() {
  const ends = [{ from: data.start, to: endOf() }, ...others.values()];
  return { from: Math.min(...ends.map((one) => one.from)), to: Math.max(...ends.map((one) => one.to)) };
}

/** Draw this part of the axis, as far as there is one. */
function look(from, to, told = false) {
  const { from: first, to: last } = limits();
  const span = clamp(to - from, Math.min(NARROWEST, last - first), last - first);
  const begin = clamp(from, first, last - span);
  view = { from: begin, to: begin + span };
  markWindow(first, last);
  invalidate();
  place();
  if (group && !told) tell({ view });
}

/** Zoom about a time that stays where it is. */
function zoom(factor, about = clamp(now(), view.from, view.to)) {
  const span = (view.to - view.from) * factor;
  const share = (about - view.from) / (view.to - view.from);
  const { from, to } = limits();
  const kept = clamp(span, Math.min(NARROWEST, to - from), to - from);
  look(about - share * kept, about + (1 - share) * kept);
}

const pan = (seconds) => look(view.from + seconds, view.to + seconds);

function showAll() {
  const { from, to } = limits();
  look(from, to);
}

/** Bring a time into view, the given share of the width behind the left edge. */
function reveal(time, share = 0.5) {
  if (time >= view.from - 1e-6 && time <= view.to + 1e-6) return;
  const span = view.to - view.from;
  look(time - share * span, time + (1 - share) * span);
}

function markWindow(first, last) {
  const frame = find(".window");
  frame.style.left = (100 * (view.from - first)) / (last - first) + "%";
  frame.style.width = (100 * (view.to - view.from)) / (last - first) + "%";
  overview.classList.toggle("entire", view.to - view.from > last - first - 1e-6);
  overview.setAttribute("aria-valuemin", first.toFixed(2));
  overview.setAttribute("aria-valuemax", last.toFixed(2));
  overview.setAttribute("aria-valuenow", view.from.toFixed(2));
  overview.setAttribute("aria-valuetext", say("timeline.selected", { from: clock(view.from), to: clock(view.to) }));
}

// Timelines of one group -----------------------------------------------------------------------------------------------

const tell = (what) => window.dispatchEvent(new CustomEvent("emoscope-group", { detail: { group, sender: element, ...what } }));

/** Say where this recording begins and ends; null when it is gone. */
const tellEnds = (asking) => tell({ ends: data && { from: data.start, to: endOf() }, asking });

if (group) {
  onWindow("emoscope-group", (said) => {
    if (said.group !== group || said.sender === element) return;
    if (said.view && data) look(said.view.from, said.view.to, true);
    if (said.ends === undefined) return;
    if (said.ends) others.set(said.sender, said.ends);
    else others.delete(said.sender);
    if (!data) return;
    if (said.asking) tellEnds(false);
    invalidate(true);
    look(limits().from, limits().to, true);
  });
}

// The overview -----------------------------------------------------------------------------------------------------------

function timeInOverview(event) {
  const box = overview.getBoundingClientRect();
  const { from, to } = limits();
  return from + ((event.clientX - box.left) / box.width) * (to - from);
}

overview.addEventListener("pointerdown", (event) => {
  if (!data || event.button !== 0) return;
  event.preventDefault();
  overview.focus({ preventScroll: true });
  overview.setPointerCapture(event.pointerId);
  const grip = event.target.classList.contains("grip") ? event.target.classList[1] : null;
  let time = timeInOverview(event);
  if (!grip && (time < view.from || time > view.to)) pan(time - (view.from + view.to) / 2);
  const move = (moved) => {
    const next = timeInOverview(moved);
    if (grip === "from") look(Math.min(next, view.to - NARROWEST), view.to);
    else if (grip === "to") look(view.from, Math.max(next, view.from + NARROWEST));
    else pan(next - time);
    time = next;
  };
  const end = () => {
    overview.removeEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) overview.removeEventListener(name, end);
  };
  overview.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) overview.addEventListener(name, end);
});

const OVERVIEW_KEYS = {
  ArrowRight: () => pan((view.to - view.from) / 10),
  ArrowLeft: () => pan((view.from - view.to) / 10),
  PageUp: () => pan((view.from - view.to) * 0.9),
  PageDown: () => pan((view.to - view.from) * 0.9),
  Home: () => pan(limits().from - view.from),
  End: () => pan(limits().to - view.to),
};

overview.addEventListener("keydown", (event) => answer(event, { ...ZOOM_KEYS, ...OVERVIEW_KEYS }));

const ZOOM_KEYS = {
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: showAll,
};

/** Do what a key means, and keep it from the page. */
function answer(event, keys) {
  if (!data || !Object.hasOwn(keys, event.key) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  keys[event.key](event);
}

find(".closer").addEventListener("click", () => data && zoom(0.5));
find(".farther").addEventListener("click", () => data && zoom(2));
find(".whole").addEventListener("click", () => data && showAll());
