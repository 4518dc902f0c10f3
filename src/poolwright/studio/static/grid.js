// The pictures of a group in a grid: people mark the wrong ones, and Enter accepts the others.

import { say, typing } from "./studio.js";
import { Desk, Side, comment, covered, picture } from "./desk.js";

const stage = document.getElementById("stage");
const grid = document.getElementById("grid");
const look = document.getElementById("look");
const sizes = [110, 135, 165, 200, 260, 340], gap = 8;
const size = Math.max(0, Math.min(sizes.length - 1, Number(localStorage.getItem("cell") ?? (innerWidth <= 760 ? 0 : 2))));
const cell = sizes[size];
const columns = Math.max(2, Math.floor((stage.clientWidth - 24 + gap) / (cell + gap)));
const rows = Math.max(1, Math.floor((stage.clientHeight - 24 + gap) / (cell + gap)));
const number = Math.min(48, columns * rows);
const edge = devicePixelRatio > 1.3 ? 640 : 320;
const desk = new Desk({ ahead: number, edge });
const side = new Side(desk, { undone: undo });
const words = { negative: "wrong", unsure: "unsure", skip: "skip" };
let marks = new Map();
let remarks = new Map();
let at = 0;
let begun = performance.now();
let page = [];

grid.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
grid.style.gridTemplateRows = `repeat(${rows}, minmax(0, 1fr))`;

function draw() {
  page = desk.cards.slice(0, number);
  grid.setAttribute("aria-busy", "false");
  grid.replaceChildren(...page.map((card, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "cell";
    button.tabIndex = -1;
    button.dataset.index = index;
    button.title = card.text;
    const image = document.createElement("img");
    image.src = picture(card.uid, edge);
    image.alt = `picture ${index + 1}`;
    image.addEventListener("error", () => button.classList.add("broken"));
    const mark = document.createElement("span");
    button.append(image, mark);
    return button;
  }));
  at = Math.min(at, Math.max(page.length - 1, 0));
  if (page.length) document.getElementById("question").textContent = page[0].question;
  refresh();
  if (!page.length && desk.empty) desk.send().then(() => { if (!side.dialog.open && !desk.cards.length) side.wait(); });
}

function refresh() {
  for (const button of grid.children) {
    const mark = marks.get(page[button.dataset.index].uid) ?? "";
    button.classList.toggle("here", Number(button.dataset.index) === at);
    button.dataset.mark = mark;
    button.lastChild.textContent = [words[mark], remarks.get(page[button.dataset.index].uid) && "✎"].filter(Boolean).join(" ");
  }
  if (document.activeElement !== comment) comment.value = remarks.get(page[at]?.uid) ?? "";
  const known = document.getElementById("about").open && page[at];
  if (known && known.uid !== refresh.known) desk.known((refresh.known = known.uid), document.getElementById("known"));
  if (!look.hidden && page[at]) look.firstElementChild.src = picture(page[at].uid, 1280);
}

function mark(verdict, index = at) {
  const card = page[index];
  if (!card) return;
  if (marks.get(card.uid) === verdict) marks.delete(card.uid);
  else marks.set(card.uid, verdict);
  refresh();
}

function all() {
  const marked = page.every((card) => marks.get(card.uid) === "negative");
  for (const card of page) marked ? marks.delete(card.uid) : marks.set(card.uid, "negative");
  refresh();
}

async function send() {
  if (!page.length || covered()) return;
  const seconds = Math.round((performance.now() - begun) / page.length) / 1000;
  const skipped = page.filter((card) => marks.get(card.uid) === "skip").map((card) => card.uid);
  const answers = page.filter((card) => marks.get(card.uid) !== "skip")
    .map((card) => ({ uid: card.uid, verdict: marks.get(card.uid) ?? "positive", seconds, comment: remarks.get(card.uid) ?? "" }));
  marks = new Map();
  remarks = new Map();
  comment.value = "";
  at = 0;
  page = []; // Enter has no effect until there are other pictures
  grid.setAttribute("aria-busy", "true");
  look.hidden = true;
  if (skipped.length) await desk.skip(skipped);
  if (answers.length) desk.give(answers);
  await turn();
}

async function turn() {
  await desk.fill();
  draw();
  begun = performance.now();
  ahead();
}

/** The next page is loaded while this one is shown. */
async function ahead() {
  desk.ahead = 2 * number;
  await desk.fill();
  desk.ahead = number;
  if (page.length < number && desk.cards.length > page.length) draw();
}

async function undo() {
  try {
    const back = await desk.undo();
    if (!back.length) return;
    marks = new Map();
    draw();
    say(`${back.length} undone`);
  } catch (error) { say(`not undone: ${error.message}`, true); }
}

function resize(by) {
  localStorage.setItem("cell", Math.max(0, Math.min(sizes.length - 1, size + by)));
  location.reload();
}

function step(by) {
  at = Math.max(0, Math.min(page.length - 1, at + by));
  refresh();
}

const keys = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => step(columns), ArrowUp: () => step(-columns),
  " ": () => mark("negative"), x: () => mark("negative"), u: () => mark("unsure"), s: () => mark("skip"),
  a: all, "+": () => resize(1), "-": () => resize(-1), z: undo, Backspace: undo, Enter: send, l: () => { look.hidden = !look.hidden; refresh(); },
  Escape: () => { look.hidden = true; },
};
document.addEventListener("keydown", (event) => {
  if (typing(event) || covered()) return;
  if (event.repeat && !event.key.startsWith("Arrow")) { event.preventDefault(); return; }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
grid.addEventListener("click", (event) => {
  const button = event.target.closest(".cell");
  if (!button) return;
  at = Number(button.dataset.index);
  mark("negative");
});
comment.addEventListener("input", () => { if (page[at]) remarks.set(page[at].uid, comment.value.trim()); });
comment.addEventListener("blur", refresh);
look.addEventListener("click", () => { look.hidden = true; });
document.getElementById("verdicts").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  button.blur();
  ({ mark: () => mark("negative"), unsure: () => mark("unsure"), skip: () => mark("skip"), undo, send })[button.dataset.do]();
});
document.getElementById("about").addEventListener("toggle", () => { refresh.known = ""; refresh(); });

turn();
