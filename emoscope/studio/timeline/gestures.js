// Pointer, wheel and keys over the picture.
//
// A drag seeks; on the ruler, or with Shift, it chooses a range. A click on a segment of the strip, or on a sentence,
// plays it. Two fingers zoom and pan. A finger seeks only once it moves sideways or lifts, because it may be scrolling the page.

const SLOP = 5; // pixels that a click may move
const CLICKED = { strip: "segment", words: "sentence" }; // by lane, what a click on it plays
const WHEEL = 0.0016; // of a notch of 100 makes a sixth of zoom
const fingers = new Map(); // the pointers on the picture: id -> x

let dragging = null; // {kind, from, x, moved} of one pointer
let pinch = null; // {time, span, distance} of two

const box = () => plot.getBoundingClientRect();
const timeAt = (x) => clamp(view.from + ((x - box().left) / box().width) * (view.to - view.from), view.from, view.to);

function laneAt(y) {
  const below = y - box().top;
  const found = Object.entries(lanes()).find(([, lane]) => below >= lane.top && below < lane.top + lane.height);
  return found?.[0] ?? "area";
}

plot.addEventListener("pointerdown", (event) => {
  if (!shown || event.button !== 0) return;
  plot.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event.clientX);
  if (fingers.size === 2) return startPinch();
  const lane = laneAt(event.clientY);
  const kind = event.shiftKey || lane === "ruler" ? "choose" : (CLICKED[lane] ?? "seek");
  dragging = { kind, from: timeAt(event.clientX), x: event.clientX, moved: false };
  if (kind === "seek" && event.pointerType === "mouse") seek(dragging.from);
});

plot.addEventListener("pointermove", (event) => {
  if (!shown) return;
  hover = event.pointerType === "mouse" ? timeAt(event.clientX) : null;
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.clientX);
  if (pinch) movePinch();
  else if (dragging) drag(event.clientX);
  placeTip();
});

function drag(x) {
  dragging.moved ||= Math.abs(x - dragging.x) > SLOP;
  if (!dragging.moved) return;
  const time = timeAt(x);
  if (dragging.kind !== "choose") return seek(time);
  choose({ from: Math.min(dragging.from, time), to: Math.max(dragging.from, time) });
}

plot.addEventListener("pointerup", (event) => {
  if (shown && dragging && !pinch) drop();
  letGo(event);
});

/** End a drag: a chosen range loops from its beginning; what has not moved was a click. */
function drop() {
  const { kind, from, moved } = dragging;
  if (kind === "choose" && moved) {
    jump(range.from);
    loop(true);
    place();
  } else if (kind === "segment" && !moved && from < endOf()) playSegment(shown.segments[segmentAt(from)]);
  else if (kind === "sentence" && !moved) playSentence(from);
  else if (!moved) seek(from);
}

function letGo(event) {
  fingers.delete(event.pointerId);
  dragging = null;
  if (fingers.size < 2) pinch = null;
}

plot.addEventListener("pointercancel", letGo);
plot.addEventListener("pointerleave", () => {
  hover = null;
  if (shown) placeTip();
});

function startPinch() {
  dragging = null;
  const [one, other] = fingers.values();
  pinch = { time: timeAt((one + other) / 2), span: view.to - view.from, distance: Math.max(20, Math.abs(one - other)) };
}

function movePinch() {
  const [one, other] = fingers.values();
  const { from, to } = limits();
  const span = clamp((pinch.span * pinch.distance) / Math.max(20, Math.abs(one - other)), Math.min(NARROWEST, to - from), to - from);
  const share = ((one + other) / 2 - box().left) / box().width;
  look(pinch.time - share * span, pinch.time + (1 - share) * span);
}

/** Zoom with Ctrl, which is also what a touchpad's pinch sends, or once the picture has the focus; else scroll the page. */
plot.addEventListener(
  "wheel",
  (event) => {
    if (!shown) return;
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    const { from, to } = limits();
    const whole = view.to - view.from > to - from - 1e-6;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      if (whole) return;
      event.preventDefault();
      pan((sideways / box().width) * (view.to - view.from));
    } else if (event.ctrlKey || event.metaKey || (document.activeElement === plot && !(whole && event.deltaY > 0))) {
      event.preventDefault();
      zoom(Math.exp(event.deltaY * WHEEL * (Math.abs(event.deltaY) < 30 ? 5 : 1)), timeAt(event.clientX));
    }
  },
  { passive: false },
);

/** Return the seconds of one press: a tenth, with Shift a second, with Alt one frame. */
const stepOf = (event) => (event.altKey ? data.hop : event.shiftKey ? 1 : 0.1);

const KEYS = {
  ...ZOOM_KEYS,
  ArrowRight: (event) => seek(now() + stepOf(event)),
  ArrowLeft: (event) => seek(now() - stepOf(event)),
  PageUp: () => seek(now() + 5),
  PageDown: () => seek(now() - 5),
  Home: () => seek(data.start),
  End: () => seek(endOf()),
  " ": toggle,
  "[": () => skip(-1),
  "]": () => skip(1),
  s: () => playSentence(now()),
  Enter: () => playSegment(shown.segments[segmentAt(now())]),
  i: () => bound("from"),
  o: () => bound("to"),
  l: () => loop(!looping),
  Escape: () => choose(null),
};

plot.addEventListener("keydown", (event) => answer(event, KEYS));
