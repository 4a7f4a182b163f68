// Shows which model can answer, and the download of a better one.
// `value` is {state, name, detail, note, news, done, amount}; `done` is from 0 to 1, or null when nothing is downloaded.
const find = (selector) => element.querySelector(selector);

function show() {
  const status = props.value;
  if (!status) return;
  // Outside of what a screen reader is told, which would else read out every percent.
  find(".download").hidden = status.done === null;
  find("progress").value = status.done ?? 0;
  find(".amount").textContent = status.amount;
  const line = [status.state, status.name, status.detail, status.note, status.news].join("|");
  if (line === show.last) return; // a screen reader must not be told the same again at every look
  show.last = line;
  find(".model").dataset.state = status.state;
  find(".name").textContent = status.name;
  find(".detail").textContent = status.detail;
  find(".words").textContent = status.note;
  find(".note").hidden = !status.note;
  find(".news").textContent = status.news;
  find(".news").hidden = !status.news;
}

watch("value", show);
show();
