// Introduces the examples; the buttons below it are Gradio's. With `written` they are texts, of which there is no more to say.
window.emoscope.fill(element);
element.querySelector(".small").hidden = Boolean(props.written);
