// Shows a text sentence by sentence: what each reads as, what each word did, and, where there is sound, how it sounds.
//
// `value` is {file}, whose JSON reading.pack makes: {text, language, sentences}. A sentence is {start, end, scores, words,
// time, spoken, distance, apart}, a word {start, end, contributions}; rows of nine follow the emotions' order, and spans
// are characters of the text. A sentence that is to be heard is told as the document's event "emoscope:play", {start,
// end} in seconds; "emoscope:time", {time}, says what is being heard.
const find = (selector) => element.querySelector(selector);
const { language, say, fill, make, sign, clock } = window.emoscope;
const { emotions } = props;
const list = find(".sentences");
const tip = find(".tip");
const LEAST = 0.02; // probability that a word must move to be tinted: two points
const SEEN = 0.0005; // probability that is not shown as 0.0 points
const FAINT = 0.05; // of the strongest word, below which even that has no full tint
const OCCURS = 0.1; // an emotion that has this probability somewhere can be looked at
const MOST = 3; // words, or emotions of a word, that are listed
const name = "reading-" + Math.random().toString(36).slice(2);

let turn = 0; // counts loads, so that a slow one does not overwrite a newer one
let sentences = [];
let looked = -1; // the emotion that the tints are about; -1 is each sentence's own
let selected = -1; // the sentence whose scores are open
let active = 0; // the sentence that the Tab key comes to
let heard = -1; // the one being said

const best = (scores) => scores.indexOf(Math.max(...scores));
const percent = (share) => Math.round(100 * share) + "%";
const titleOf = (index) => emotions[index].title[language];
const target = (sentence) => (looked < 0 ? sentence.best : looked);

function signed(share) {
  const points = (100 * Math.abs(share)).toFixed(1);
  return (points === "0.0" ? "" : share > 0 ? "+" : "\u2212") + points;
}

// The sentences -------------------------------------------------------------------------------------------------------

/** Take the text apart; its spans count characters, JavaScript's strings halves of some. */
function open({ text, language: spoken, sentences: given }) {
  const letters = Array.from(text);
  const cut = (from, to) => letters.slice(from, to).join("");
  let end = 0;
  sentences = given.map((each) => {
    const gap = cut(end, each.start).includes("\n\n");
    end = each.end;
    return { ...each, best: best(each.scores), gap, pieces: piecesOf(each, cut) };
  });
  list.replaceChildren(...sentences.map((sentence, place) => row(sentence, place, spoken)));
}

/** Return the texts between words as strings, and the words as {text, contributions}. */
function piecesOf({ start, end, words }, cut) {
  const pieces = [];
  let from = start;
  for (const word of words) {
    if (word.start > from) pieces.push(cut(from, word.start));
    pieces.push({ text: cut(word.start, word.end), contributions: word.contributions });
    from = word.end;
  }
  if (end > from) pieces.push(cut(from, end));
  return pieces;
}

function row(sentence, place, spoken) {
  const node = make("li", sentence.gap ? "sentence gap" : "sentence");
  node.dataset.place = place;
  const text = make("p", "text");
  text.id = name + place;
  text.dir = "auto"; // each sentence runs as its own letters do
  if (spoken) text.lang = spoken;
  sentence.nodes = [];
  for (const piece of sentence.pieces) {
    if (typeof piece === "string") {
      text.append(piece);
      continue;
    }
    const word = make("span", "word", piece.text);
    word.tabIndex = -1;
    word.dataset.word = sentence.nodes.length;
    sentence.nodes.push({ node: word, ...piece });
    text.append(word);
  }
  if (sentence.time) node.append(player(sentence, place));
  node.append(text, tags(sentence, place));
  return node;
}

const triangle = (() => {
  const shape = (kind, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const drawing = shape("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  drawing.append(shape("path", { d: "M8 5.5v13l11-6.5z" }));
  return drawing;
})();

function player({ time }, place) {
  const button = make("button", "play");
  button.type = "button";
  button.tabIndex = place === active ? 0 : -1;
  button.setAttribute("aria-label", say("reading.play", { time: clock(time[0]) }));
  button.setAttribute("aria-describedby", name + place);
  button.append(triangle.cloneNode(true), clock(time[0]));
  return button;
}

function tag(side, scores, channel = best(scores), className = "tag") {
  const node = make("span", className);
  if (side) node.append(make("span", "side", side));
  node.append(sign(emotions[channel].emoji), make("span", "", titleOf(channel)), make("span", "share", percent(scores[channel])));
  return node;
}

function tags(sentence, place) {
  const button = make("button", "tags");
  button.type = "button";
  button.tabIndex = place === active ? 0 : -1;
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-describedby", name + place);
  button.append(tag(sentence.spoken && say("reading.words"), sentence.scores));
  if (sentence.spoken) button.append(tag(say("reading.voice"), sentence.spoken));
  if (sentence.apart) button.append(make("span", "apart", say("reading.apart")));
  return button;
}

const rowOf = (place) => list.children[place];

// Tints ---------------------------------------------------------------------------------------------------------------

/** Tint the words by what they do to the emotion that is looked at; the strongest word of the text has the full tint. */
function paint() {
  const moved = ({ contributions }, sentence) => contributions[target(sentence)];
  let most = FAINT;
  for (const sentence of sentences) for (const word of sentence.nodes) most = Math.max(most, Math.abs(moved(word, sentence)));
  for (const [place, sentence] of sentences.entries()) {
    const channel = target(sentence);
    const { colour } = emotions[channel];
    const share = looked < 0 ? 1 : sentence.scores[channel];
    rowOf(place).style.setProperty("--hue", colour);
    rowOf(place).style.setProperty("--edge", "color-mix(in srgb, " + colour + " " + percent(share) + ", var(--faint))");
    for (const word of sentence.nodes) {
      const change = moved(word, sentence);
      const tinted = Math.abs(change) >= LEAST;
      word.node.className = tinted ? "word " + (change > 0 ? "for" : "against") : "word";
      if (tinted) word.node.style.setProperty("--strength", ((Math.abs(change) / most) ** 0.7).toFixed(3));
    }
    showLooked(rowOf(place).querySelector(".tags"), sentence);
  }
}

/** Say how much a sentence has of the emotion that all are looked at for. */
function showLooked(button, sentence) {
  button.querySelector(".looked")?.remove();
  if (looked >= 0 && looked !== sentence.best) button.prepend(tag("", sentence.scores, looked, "tag looked"));
}

/** Offer the emotions that occur, each with the number of sentences that read so. */
function offerHues() {
  const buttons = [hueButton(-1, say("reading.own"))];
  for (const [channel, emotion] of emotions.entries()) {
    if (!sentences.some(({ scores }) => scores[channel] >= OCCURS)) continue;
    const button = hueButton(channel, emotion.title[language]);
    const amount = sentences.filter((sentence) => sentence.best === channel).length;
    button.prepend(sign(emotion.emoji));
    if (amount) button.append(make("span", "amount", amount));
    buttons.push(button);
  }
  find(".hues").replaceChildren(...buttons);
}

function hueButton(channel, text) {
  const button = make("button", "", text);
  button.type = "button";
  button.dataset.channel = channel;
  button.setAttribute("aria-pressed", String(channel === looked));
  return button;
}

function look(channel) {
  looked = channel;
  for (const button of find(".hues").children) button.setAttribute("aria-pressed", String(Number(button.dataset.channel) === looked));
  paint();
  showDetail();
}

// The chosen sentence -------------------------------------------------------------------------------------------------

/** Move the place that the Tab key comes to. */
function activate(place) {
  for (const [at, index] of [[active, -1], [place, 0]]) {
    for (const button of rowOf(at)?.querySelectorAll("button") ?? []) button.tabIndex = index;
  }
  active = place;
}

function select(place) {
  const before = rowOf(selected);
  before?.classList.remove("selected");
  before?.querySelector(".tags").setAttribute("aria-expanded", "false");
  selected = place;
  if (place >= 0) {
    activate(place);
    rowOf(place).classList.add("selected");
    rowOf(place).querySelector(".tags").setAttribute("aria-expanded", "true");
  }
  showDetail();
}

function showDetail() {
  list.querySelector(".detail")?.remove();
  if (selected >= 0) rowOf(selected).append(detail(sentences[selected]));
}

function detail(sentence) {
  const node = make("div", "detail");
  const bars = make("ul", "bars");
  bars.setAttribute("aria-label", say("reading.scores"));
  bars.append(...emotions.map((emotion, channel) => bar(sentence, emotion, channel)));
  node.append(bars);
  const lines = [movers(sentence, "reading.moved_for", 1), movers(sentence, "reading.moved_against", -1)];
  if (sentence.distance !== null) lines.push(make("p", "", say("reading.distance", { distance: sentence.distance.toFixed(2) })));
  const said = make("div", "said");
  said.append(...lines.filter(Boolean));
  node.append(said);
  return node;
}

function bar({ scores, spoken, best: most }, emotion, channel) {
  const item = make("li", channel === most ? "most" : "");
  item.style.setProperty("--hue", emotion.colour);
  const who = make("span", "who");
  who.append(sign(emotion.emoji), emotion.title[language]);
  const sides = spoken ? [["words", scores[channel]], ["voice", spoken[channel]]] : [["", scores[channel]]];
  const tracks = make("span", "tracks");
  for (const [side, share] of sides) {
    const figure = make("span", "figure", (100 * share).toFixed(1) + "%");
    if (side) figure.prepend(make("span", "side", say("reading." + side)), " ");
    tracks.append(track(side === "voice" ? "track voice" : "track", share), figure);
  }
  item.append(who, tracks);
  return item;
}

function track(className, share) {
  const node = make("span", className);
  const part = document.createElement("i");
  part.style.width = 100 * share + "%";
  node.append(part);
  return node;
}

/** Return the words that did the most for, or against, the emotion that is looked at. */
function movers(sentence, key, way) {
  const channel = target(sentence);
  const moved = sentence.nodes.filter(({ contributions }) => way * contributions[channel] >= LEAST);
  moved.sort((a, b) => way * (b.contributions[channel] - a.contributions[channel]));
  if (!moved.length) return null;
  const line = make("p", "", say(key, { emotion: titleOf(channel) }) + " ");
  for (const [place, { text, contributions }] of moved.slice(0, MOST).entries()) {
    if (place) line.append(" · ");
    line.append(make("bdi", "", text), " " + signed(contributions[channel]));
  }
  return line;
}

// The word under the pointer ------------------------------------------------------------------------------------------

function showTip(node) {
  const { text, contributions } = sentences[node.closest(".sentence").dataset.place].nodes[node.dataset.word];
  const order = emotions.map((_, channel) => channel).sort((a, b) => Math.abs(contributions[b]) - Math.abs(contributions[a]));
  const told = order.slice(0, MOST).filter((channel, place) => !place || Math.abs(contributions[channel]) >= SEEN);
  const rows = told.map((channel) => {
    const line = make("span", "row");
    line.append(sign(emotions[channel].emoji), make("span", "", titleOf(channel)));
    line.append(make("span", "points", say("reading.points", { points: signed(contributions[channel]) })));
    return line;
  });
  const heading = make("strong", "", text);
  heading.dir = "auto";
  tip.replaceChildren(heading, ...rows);
  tip.hidden = false;
  const card = find(".card").getBoundingClientRect();
  const [word] = node.getClientRects();
  const left = Math.min(Math.max(word.left - card.left, 8), card.width - tip.offsetWidth - 8);
  const above = word.top - card.top - tip.offsetHeight - 6;
  const seen = word.top - tip.offsetHeight - 6 > 0; // there is room above it on the screen
  tip.style.transform = "translate(" + left + "px, " + (seen ? above : word.bottom - card.top + 6) + "px)";
}

const hideTip = () => void (tip.hidden = true);

// Hearing -------------------------------------------------------------------------------------------------------------

function play(place) {
  const { time } = sentences[place];
  if (time) document.dispatchEvent(new CustomEvent("emoscope:play", { detail: { start: time[0], end: time[1] } }));
}

/** Mark the sentence that is being said, and keep it in view within its own list; the page stays where it is. */
function follow({ detail: { time } }) {
  if (!sentences.length || !element.isConnected) return;
  const said = ({ time: span }) => span && span[0] <= time && time < span[1];
  const place = heard >= 0 && said(sentences[heard]) ? heard : sentences.findIndex(said);
  if (place === heard) return;
  rowOf(heard)?.removeAttribute("aria-current");
  heard = place;
  if (place < 0) return;
  rowOf(place).setAttribute("aria-current", "true");
  const box = find(".scroll").getBoundingClientRect();
  const one = rowOf(place).getBoundingClientRect();
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  if (one.top < box.top || one.bottom > box.bottom) find(".scroll").scrollBy({ top: one.top - box.top - box.height / 3, behavior });
}

// Pointer and keys ----------------------------------------------------------------------------------------------------

const placeOf = (node) => Number(node.closest(".sentence")?.dataset.place ?? -1);

list.addEventListener("click", (event) => {
  const place = placeOf(event.target);
  if (place < 0 || event.target.closest(".detail")) return;
  if (event.target.closest(".play")) {
    activate(place);
    play(place);
  } else if (event.target.closest(".tags")) {
    select(place === selected ? -1 : place);
  } else if (!getSelection().toString()) { // someone drags over words to copy them
    select(place);
    play(place);
  }
});

function step(place) {
  if (place < 0 || place >= sentences.length) return;
  select(place);
  rowOf(place).querySelector(".tags").focus({ preventScroll: true });
  rowOf(place).scrollIntoView({ block: "nearest" });
}

/** Go from the sentence, or one of its words, to the word before or after; before the first is the sentence itself. */
function walk(node, way) {
  const sentence = sentences[placeOf(node)];
  const next = (node.dataset.word === undefined ? -1 : Number(node.dataset.word)) + way;
  if (next < 0) rowOf(placeOf(node)).querySelector(".tags").focus();
  else sentence.nodes[next]?.node.focus();
}

list.addEventListener("keydown", (event) => {
  const node = event.target;
  const place = placeOf(node);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onward = getComputedStyle(rowOf(place).querySelector(".text")).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  const moves = {
    ArrowDown: () => step(place + 1),
    ArrowUp: () => step(place - 1),
    Home: () => step(0),
    End: () => step(sentences.length - 1),
    ArrowRight: () => walk(node, onward === "ArrowRight" ? 1 : -1),
    ArrowLeft: () => walk(node, onward === "ArrowLeft" ? 1 : -1),
    Escape: hideTip,
  };
  if (!(event.key in moves)) return;
  event.preventDefault();
  moves[event.key]();
});

list.addEventListener("pointerover", (event) => event.target.matches(".word") && showTip(event.target));
list.addEventListener("pointerout", hideTip);
list.addEventListener("focusin", (event) => (event.target.matches(".word") ? showTip(event.target) : hideTip()));
list.addEventListener("focusout", hideTip);
find(".scroll").addEventListener("scroll", hideTip, { passive: true });
find(".hues").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) look(Number(button.dataset.channel));
});
document.addEventListener("emoscope:time", follow);

// Loading -------------------------------------------------------------------------------------------------------------

async function load() {
  const mine = ++turn;
  const { value } = props;
  sentences = [];
  [looked, selected, active, heard] = [-1, -1, 0, -1];
  hideTip();
  find(".trouble").textContent = "";
  find(".card").hidden = !value;
  list.replaceChildren();
  if (!value) return;
  const answer = await fetch(value.file.url).then((given) => given.json()).catch(() => null);
  if (mine !== turn || !element.isConnected) return;
  if (!answer) return void (find(".trouble").textContent = say("reading.trouble"));
  open(answer);
  show();
  element.dataset.ready = String(turn);
}

function show() {
  const weighed = sentences.filter(({ words }) => words.length).length;
  find(".count").textContent = sentences.length.toLocaleString(language);
  find(".card").classList.toggle("timed", sentences.some(({ time }) => time));
  for (const node of element.querySelectorAll(".sample, .method")) node.hidden = !weighed;
  find(".some").textContent = weighed && sentences.some(({ words }, place) => !words.length && place >= weighed) ? say("reading.some", { count: weighed }) : "";
  find(".scroll").scrollTop = 0;
  offerHues();
  paint();
}

fill(element);
watch("value", load);
load();
