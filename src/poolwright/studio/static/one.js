// One picture at a time, the next ones prefetched.

import { say, typing } from "./studio.js";
import { Desk, Side, covered, owner, picture, preload, remark } from "./desk.js";

const edge = Math.max(innerWidth, innerHeight) * devicePixelRatio > 1400 ? 2560 : 1280;
const desk = new Desk({ ahead: 12, edge });
const side = new Side(desk, { undone: undo });
const image = document.getElementById("picture");
const frame = document.getElementById("frame");
const strip = document.getElementById("strip");
let begun = performance.now();
let shown = null;
let zoom = 1;

function show() {
  const card = desk.cards[0];
  if (!card) { hide(); return; }
  if (card.uid !== shown) { begun = performance.now(); unpick(); }
  shown = card.uid;
  fit();
  image.hidden = false;
  image.src = picture(card.uid, edge);
  document.getElementById("question").textContent = card.question;
  document.getElementById("caption").textContent = card.text;
  if (document.getElementById("about").open) desk.known(card.uid, document.getElementById("known"));
  for (const next of desk.cards.slice(1, 4)) desk.images.get(next.uid)?.decode?.().catch(() => {});
}

function hide() {
  shown = null;
  image.hidden = true;
  document.getElementById("caption").textContent = "";
  if (desk.empty && !side.dialog.open) desk.send().then(() => { if (!side.dialog.open && !desk.cards.length) side.wait(); });
}

async function refill() {
  const before = desk.cards.length;
  await desk.fill();
  if (!before || !shown) show();
}

function give(verdict, chosen = []) {
  const card = desk.cards[0];
  if (!card || covered()) return;
  remember(card, verdict);
  desk.give([{ uid: card.uid, verdict, chosen, seconds: Math.round(performance.now() - begun) / 1000, comment: remark() }]);
  document.querySelector("#desk aside").scrollTop = 0;
  show();
  if (desk.cards.length < 8) refill();
}

function remember(card, verdict) {
  const small = preload(card.uid, 160);
  small.className = verdict;
  strip.prepend(small);
  while (strip.children.length > 12) strip.lastChild.remove();
}

async function undo() {
  try {
    const cards = await desk.undo();
    if (cards.length) strip.firstChild?.remove();
    show();
  } catch (error) { say(`not undone: ${error.message}`, true); }
}

async function skip() {
  const card = desk.cards[0];
  if (!card) return;
  await desk.skip([card.uid]);
  show();
  refill();
}

// Zoom: twice or four times, under the pointer; the picture moves with it.
function fit() { zoom = 1; frame.classList.remove("zoomed"); image.style.transform = ""; }
function closer(event) {
  zoom = zoom === 1 ? 2.5 : zoom === 2.5 ? 5 : 1;
  if (zoom === 1) { fit(); return; }
  frame.classList.add("zoomed");
  move(event ?? { clientX: frame.getBoundingClientRect().left + frame.clientWidth / 2, clientY: frame.getBoundingClientRect().top + frame.clientHeight / 2 });
}
function move(event) {
  if (zoom === 1) return;
  const box = frame.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width - 0.5, y = (event.clientY - box.top) / box.height - 0.5;
  image.style.transform = `translate(${-x * (zoom - 1) * 100}%, ${-y * (zoom - 1) * 100}%) scale(${zoom})`;
}
frame.addEventListener("click", closer);
frame.addEventListener("pointermove", move);
image.addEventListener("error", () => { if (shown) say("this picture cannot be shown; skip it, or answer unsure", true); });

// Classes to choose from: as many as fit are shown, those that contain what is typed first.
// If people name all classes that they see, a click picks one or takes it back, and `send` gives the answer.
const choices = document.getElementById("choices");
const find = document.getElementById("find");
const sender = document.getElementById("send");
const picked = new Set();

function offer() {
  const wanted = find.value.trim().toLowerCase();
  const names = JSON.parse(choices.dataset.choices);
  const begin = names.filter((name) => name.toLowerCase().startsWith(wanted));
  const hold = names.filter((name) => !name.toLowerCase().startsWith(wanted) && name.toLowerCase().includes(wanted));
  const found = [...begin, ...hold].slice(0, 40);
  const more = names.filter((name) => picked.has(name) && !found.includes(name));
  choices.replaceChildren(...[...found, ...more].map((name, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.chosen = name;
    if (sender) button.setAttribute("aria-pressed", picked.has(name));
    const number = document.createElement("kbd");
    number.textContent = at < 9 ? at + 1 : "";
    const words = document.createElement("span");
    words.textContent = name;
    button.append(number, words);
    return button;
  }));
}

function pick(name) {
  if (!sender) { give("positive", [name]); return; }
  if (!picked.delete(name)) picked.add(name);
  for (const button of choices.children) button.setAttribute("aria-pressed", picked.has(button.dataset.chosen));
  count();
}

function unpick() {
  picked.clear();
  if (sender) { offer(); count(); }
}

function count() {
  sender.querySelector("span").textContent = picked.size === 1 ? "it shows this class" : `it shows these ${picked.size || ""} classes`;
}

function send() {
  if (picked.size) give("positive", [...picked]);
  else say("choose classes, none of them, or unsure", true);
}

if (choices) {
  offer();
  find.addEventListener("input", offer);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && choices.firstChild) choices.firstChild.click();
    if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); unfind(); }
  });
}

function unfind() {
  if (!find.value && document.activeElement !== find) return;
  find.value = "";
  find.blur();
  offer();
}

const keys = {
  ArrowRight: () => choices || give("positive"), y: () => choices || give("positive"),
  ArrowLeft: () => choices || give("negative"), n: () => give("negative"),
  "/": () => find && !find.hidden && find.focus(),
  ArrowDown: () => give("unsure"), u: () => give("unsure"),
  Enter: () => sender && send(),
  ArrowUp: skip, s: skip, z: undo, Backspace: undo, " ": () => closer(), 0: fit,
};
document.addEventListener("keydown", (event) => {
  if (typing(event) || covered() || event.repeat) return;
  if ((event.key === " " || event.key === "Enter") && event.target.closest?.("button, summary, a")) return;
  const card = desk.cards[0];
  if (choices && event.key >= "1" && event.key <= "9") {
    choices.children[event.key - 1]?.click();
    return;
  }
  if (owner && !choices && event.shiftKey && card && (event.key === "Y" || event.key === "N")) {
    const verdict = event.key === "Y" ? "positive" : "negative";
    desk.gold(card.uid, verdict);
    give(verdict);
    return;
  }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
document.getElementById("verdicts").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (!sender || event.detail) button.blur(); // a key leaves it, to pick others
  if (button.dataset.chosen) { pick(button.dataset.chosen); unfind(); }
  else if (button.dataset.verdict) give(button.dataset.verdict);
  else ({ skip, undo, send })[button.dataset.do]();
});
document.getElementById("about").addEventListener("toggle", (event) => {
  if (event.target.open && shown) desk.known(shown, document.getElementById("known"));
});

refill();
