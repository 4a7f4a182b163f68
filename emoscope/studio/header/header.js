// Shows which model can answer. `value` is {state, name, detail, note}.
const find = (selector) => element.querySelector(selector);

function show() {
  const status = props.value;
  if (!status) return;
  const line = [status.state, status.name, status.detail, status.note].join("|");
  if (line === show.last) return; // a screen reader must not be told the same again at every look
  show.last = line;
  find(".model").dataset.state = status.state;
  find(".name").textContent = status.name;
  find(".detail").textContent = status.detail;
  find(".words").textContent = status.note;
  find(".note").hidden = !status.note;
}

watch("value", show);
show();
