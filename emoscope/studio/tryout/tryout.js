// Introduces the examples; the buttons below it are Gradio's.
window.emoscope.fill(element);
