// Shared by all pages: the theme, short messages, entering by link, keys outside of fields.

/** The path that the studio is served below. */
export const ROOT = document.documentElement.dataset.root ?? "";

export const csrf = () => document.querySelector('meta[name="csrf"]').content;

/** The message of an error response, without the page around it. */
function words(text) {
  const said = text.startsWith("<!doctype") ? new DOMParser().parseFromString(text, "text/html").querySelector("main p") : null;
  return (said?.textContent ?? text).trim().slice(0, 400);
}

/** Post JSON; resolves to the response, rejects with a message for people. */
export async function post(path, data) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf() },
    body: JSON.stringify(data),
  });
  if (!answer.ok) throw Object.assign(new Error(words(await answer.text())), { status: answer.status });
  return answer.json();
}

let hiding = 0;

/** Show a message at the foot of the page, for a moment. */
export function say(words, wrong = false) {
  const box = document.getElementById("say");
  box.textContent = words;
  box.classList.toggle("wrong", wrong);
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { box.hidden = true; }, wrong ? 8000 : 2500);
}

/** Whether a key is typed into a field rather than meant for the page. */
export const typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input:not([type=checkbox]), textarea, select");

function turn() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

document.getElementById("theme")?.addEventListener("click", turn);
document.addEventListener("keydown", (event) => { if (event.key === "t" && !typing(event)) turn(); });

// The sheet of keys.
const sheet = document.getElementById("sheet");
function unfold() { sheet.open ? sheet.close() : sheet.showModal(); }
document.addEventListener("keydown", (event) => { if (event.key === "?" && sheet && !typing(event)) { event.preventDefault(); unfold(); } });
document.addEventListener("click", (event) => { if (sheet && event.target.closest("[data-open=sheet]")) unfold(); });

// Text for a recipe or a list.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("copied");
  } catch {
    say("this browser does not allow copying; select the text instead", true);
  }
});

// Parts that fold on narrow screens.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fold]");
  if (!button) return;
  const open = document.getElementById(button.dataset.fold).classList.toggle("open");
  button.setAttribute("aria-expanded", open);
});

// A list that is narrowed down to what contains the words typed.
document.addEventListener("input", (event) => {
  const wanted = event.target.dataset?.filter;
  if (!wanted) return;
  const words = event.target.value.trim().toLowerCase().split(/\s+/);
  for (const one of document.querySelectorAll(wanted)) {
    const text = one.textContent.toLowerCase();
    one.hidden = !words.every((word) => text.includes(word));
  }
});

// On narrow screens the cells of a table stand below each other, each with the name of its column.
function label() {
  for (const table of document.querySelectorAll("table.list")) {
    const names = [...table.querySelectorAll("thead th, thead td")].map((cell) => cell.textContent);
    for (const row of table.tBodies[0]?.rows ?? []) [...row.cells].forEach((cell, at) => { cell.dataset.label = names[at] ?? ""; });
  }
}
label();
document.body.addEventListener("htmx:afterSettle", label);

document.body.addEventListener("htmx:responseError", (event) => {
  say(words(event.detail.xhr.responseText), true);
});
document.body.addEventListener("htmx:sendError", () => say("the studio does not respond", true));

// A link carries the token behind '#', which is sent to nobody.
function fromLink() {
  const form = document.getElementById("enter");
  if (!form || location.hash.length < 2) return;
  form.elements.name.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  form.requestSubmit();
}
addEventListener("load", fromLink);
addEventListener("hashchange", fromLink);
