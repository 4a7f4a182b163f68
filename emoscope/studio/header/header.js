// Shows which model can answer, the download of a better one, and the switch to the other language.
// `value` is {state, name, detail, note, news, done, amount, visitor}; `done` is from 0 to 1, or null when nothing is
// downloaded, `visitor` the name of the account that somebody has signed in to, or null where nobody has to.
const { language, say, fill } = window.emoscope;
const OTHER = { en: { name: "zh", locale: "zh-CN" }, zh: { name: "en", locale: "en" } }[language];
const YEAR = 365 * 24 * 3600; // seconds
const find = (selector) => element.querySelector(selector);

function show() {
  const status = props.value;
  if (!status) return;
  // Outside of what a screen reader is told, which would else read out every percent.
  find(".download").hidden = status.done === null;
  find("progress").value = status.done ?? 0;
  find(".amount").textContent = status.amount;
  const button = find(".leave");
  button.hidden = status.visitor === null;
  button.textContent = status.visitor ? say("header.leave_account", { name: status.visitor }) : say("header.leave");
  const line = [status.state, status.name, status.detail, status.note, status.news].join("|");
  if (line === show.last) return; // a screen reader must not be told the same again at every look
  show.last = line;
  find(".model").dataset.state = status.state;
  find(".name").textContent = status.name;
  find(".detail").textContent = status.detail;
  find(".words").textContent = status.note;
  find(".note").hidden = !status.note;
  find(".news").textContent = status.news;
  find(".news").hidden = !status.news;
}

// Lax and not Strict: a Strict cookie stays away when a link leads here, so the page would come in the wrong language.
function turn() {
  document.cookie = `emoscope_language=${OTHER.name}; path=/; max-age=${YEAR}; SameSite=Lax`;
  location.reload();
}

async function leave() {
  await fetch("/signout", { method: "POST" });
  location.replace("/signin");
}

fill(element);
find(".leave").addEventListener("click", leave);
const button = find(".language");
button.lang = OTHER.locale;
button.title = say("header.switch");
button.setAttribute("aria-label", button.title);
button.addEventListener("click", turn);
watch("value", show);
show();
