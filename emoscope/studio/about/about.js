// Tells what Emoscope is and lists the models on disk. `value` is {models: [{title, facts, licence, authors, now}]}.
const find = (selector) => element.querySelector(selector);
const { say, fill, make } = window.emoscope;

function line({ title, facts, licence, authors, now }) {
  const item = document.createElement("li");
  item.append(make("strong", "", title));
  if (now) item.append(make("span", "now", say("about.now")));
  const told = [facts, say("about.licence", { licence }), authors && say("about.authors", { authors })];
  item.append(make("span", "small", told.filter(Boolean).join(" · ")));
  return item;
}

function show() {
  find(".models").replaceChildren(...(props.value?.models ?? []).map(line));
}

fill(element);
// The command stands in the middle of its sentence.
[find(".choose span").textContent, find(".choose span:last-child").textContent] = say("about.choose").split("{command}");
watch("value", show);
show();
