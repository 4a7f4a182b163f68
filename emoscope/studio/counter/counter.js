// Counts the characters of a text box, whose id is `box`, up to `limit`, and lets Ctrl+Enter in it press `button`.
// `value` is the text's length, which the box tells.
const { language, say, fill } = window.emoscope;
const find = (selector) => element.querySelector(selector);
const area = () => document.querySelector("#" + props.box + " textarea");

function show() {
  const limit = props.limit.toLocaleString(language);
  const over = props.value > props.limit;
  find(".count").textContent = say("text.count", { count: (props.value ?? 0).toLocaleString(language), limit });
  const warning = over ? say("text.over", { limit }) : "";
  if (find(".over").textContent !== warning) find(".over").textContent = warning; // a screen reader is told it once
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.target !== area() || !element.isConnected) return;
  event.preventDefault();
  document.querySelector("#" + props.button).click();
});
document.addEventListener("focusin", ({ target }) => {
  if (target === area()) target.dir = "auto"; // Arabic and Hebrew run from the right
});
fill(element);
watch("value", show);
show();
