// Shows a sentence, which may hold the name of a file: as text, never as markup.
const show = () => (element.querySelector(".note").textContent = props.value ?? "");
watch("value", show);
show();
