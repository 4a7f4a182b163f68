function (language, locale, words, gradio) {
  // Begins every page: Gradio reads the browser's language from `navigator`, the parts' scripts use `window.emoscope`.
  Object.defineProperty(navigator, "language", { get: () => locale });
  Object.defineProperty(navigator, "languages", { get: () => [locale] });
  window.gradio_config.title = document.title; // else Gradio puts its own there

  // The string behind "area.key", with the values in its {places}.
  function say(key, values = {}) {
    if (!(key in words)) console.error("There are no words for " + key);
    return (words[key] ?? key).replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
  }

  // Puts the words into the static markup of a part: data-say="key" is an element's text, data-label="key" its ARIA label.
  function fill(element) {
    for (const node of element.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
    for (const node of element.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
  }

  // Gradio writes some ARIA labels, and the headings of its messages, in English whatever the language is; `gradio` pairs
  // those with ours.
  const pairs = gradio.map(([english, ours]) => [new RegExp("^" + english.replace("{label}", "(.+)") + "$"), ours]);
  function ours(text) {
    const pair = pairs.find(([english]) => english.test(text));
    return pair ? text.replace(pair[0], pair[1].replace("{label}", "$1")) : text;
  }
  function relabel(node) {
    const label = node.getAttribute("aria-label");
    if (label && ours(label) !== label) node.setAttribute("aria-label", ours(label));
    if (node.matches(".toast-title")) node.firstChild.data = ours(node.firstChild.data.trim()) + " ";
  }
  function watch(changes) {
    for (const { type, target, addedNodes } of changes) {
      if (type === "attributes") relabel(target);
      for (const node of addedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        relabel(node);
        node.querySelectorAll("[aria-label], .toast-title").forEach(relabel);
      }
    }
  }
  const everything = { childList: true, subtree: true, attributeFilter: ["aria-label"] };
  if (language !== "en") new MutationObserver(watch).observe(document, everything);

  // What the parts' scripts build their content from; text is always put in as text.
  function make(name, className, text) {
    const node = document.createElement(name);
    node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }
  function press(className, label, act) {
    const node = make("button", className);
    node.type = "button";
    node.setAttribute("aria-label", label);
    node.addEventListener("click", act);
    return node;
  }
  function triangle() {
    const space = "http://www.w3.org/2000/svg";
    const drawing = document.createElementNS(space, "svg");
    drawing.setAttribute("viewBox", "0 0 24 24");
    drawing.setAttribute("aria-hidden", "true");
    const shape = document.createElementNS(space, "path");
    shape.setAttribute("d", "M8 5.5v13l11-6.5z");
    drawing.append(shape);
    return drawing;
  }

  // An emotion's emoji, which is not read aloud; and a table's cell, which stays one where CSS lays the table out.
  function sign(emoji) {
    const node = make("span", "sign", emoji);
    node.setAttribute("aria-hidden", "true");
    return node;
  }
  function cell(className, ...content) {
    const node = make("td", className);
    node.setAttribute("role", "cell");
    node.append(...content);
    return node;
  }

  // A time in a recording: 0:07, 1:02:03, and 0:07.50 with two decimals. Whole seconds are those that have passed.
  function clock(seconds, decimals = 0) {
    const unit = 10 ** decimals;
    const count = Math.max(0, decimals ? Math.round(unit * seconds) : Math.floor(seconds + 1e-6));
    const [hours, minutes] = [Math.floor(count / (3600 * unit)), Math.floor(count / (60 * unit)) % 60];
    const rest = ((count % (60 * unit)) / unit).toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  }

  window.emoscope = { language, say, fill, make, press, triangle, sign, cell, clock };
}
