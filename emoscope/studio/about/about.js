// Lists the models on disk. `value` is {models: [{title, facts, licence, authors}]}.
function line(model) {
  const item = document.createElement("li");
  const title = document.createElement("strong");
  title.textContent = model.title;
  const authors = model.authors ? ", by " + model.authors : "";
  item.append(title, " (" + model.facts + "). Licence: " + model.licence + authors + ".");
  return item;
}

function show() {
  const models = props.value?.models ?? [];
  element.querySelector(".models").replaceChildren(...models.map(line));
}

watch("value", show);
show();
