// Lists the files of a run. `value` is {folder, files: [{name, what, size, file}], whole: the ZIP or null}.
const find = (selector) => element.querySelector(selector);

function make(name, className, text) {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = text;
  return node;
}

function aim(link, { name, file }) {
  link.href = file.url;
  link.download = name;
  return link;
}

function row(entry) {
  const link = aim(document.createElement("a"), entry);
  link.append(make("span", "name", entry.name), make("span", "size", entry.size), make("span", "what", entry.what));
  const item = document.createElement("li");
  item.append(link);
  return item;
}

function show() {
  const run = props.value;
  find(".card").hidden = !run;
  if (!run) return;
  find(".folder").textContent = "Saved in " + run.folder;
  find(".files").replaceChildren(...run.files.map(row));
  const whole = find(".whole");
  whole.hidden = !run.whole;
  if (run.whole) {
    aim(whole, run.whole);
    whole.textContent = "All of it as ZIP, " + run.whole.size;
  }
}

watch("value", show);
show();
