// Lists the files of a run. `value` is {folder: its name, or null in privacy mode,
// files: [{name, what, size, file}], whole: the ZIP or null}.
const { say, fill, make } = window.emoscope;
const find = (selector) => element.querySelector(selector);

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
  find(".folder").textContent = run.folder ? say("downloads.saved", { folder: run.folder }) : say("downloads.private");
  find(".files").replaceChildren(...run.files.map(row));
  const whole = find(".whole");
  whole.hidden = !run.whole;
  if (run.whole) {
    aim(whole, run.whole);
    whole.textContent = say("downloads.whole", { size: run.whole.size });
  }
}

fill(element);
watch("value", show);
show();
