// A page of rows: parts exchanged without reloading it, the threshold, ranges, keys, copying.
import { ROOT, post, say, typing } from "./studio.js";

const SIZES = ["", "small-shots", "large-shots"];
const root = () => document.getElementById("explore");

/** Show another state of the page: the whole of it, or only the part below the search. */
async function go(url, { only = null, push = true } = {}) {
  const before = root();
  before.classList.add("busy");
  const turn = (go.turn = (go.turn || 0) + 1);
  let answer;
  try {
    answer = await fetch(url, { headers: { Accept: "text/html" } });
  } catch {
    say("the studio does not respond", true);
    before.classList.remove("busy");
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (turn !== go.turn) return; // another state was requested meanwhile
  const here = document.getElementById(only || "explore");
  const next = page.getElementById(only || "explore");
  if (!next) { location.assign(url); return; }
  const facets = keptOpen();
  here.replaceWith(next);
  window.htmx.process(next);
  if (push) history[only ? "replaceState" : "pushState"](null, "", url);
  before.classList.remove("busy");
  reopen(facets);
  ready();
}

/** Which facets are open, and how far they are scrolled. */
function keptOpen() {
  const pane = document.getElementById("facets");
  return pane && { top: pane.scrollTop, open: [...pane.querySelectorAll("details[open]")].map((one) => one.dataset.name) };
}

function reopen(kept) {
  const pane = document.getElementById("facets");
  if (!kept || !pane) return;
  for (const one of pane.querySelectorAll("details:not([open])")) if (kept.open.includes(one.dataset.name)) one.open = true;
  pane.scrollTop = kept.top;
}

function ready() {
  const size = SIZES[Number(localStorage.getItem("shots")) || 0];
  SIZES.forEach((name) => name && root()?.classList.toggle(name, name === size));
  setCut();
  for (const number of document.querySelectorAll(".number")) showRange(number);
}

// Links and forms of the page exchange it; with other keys they open as links do.
document.addEventListener("click", (event) => {
  const link = event.target.closest("#explore a[href]");
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  if (to.pathname !== root().dataset.base) return;
  event.preventDefault();
  go(link.href);
});
document.addEventListener("submit", (event) => {
  const form = event.target.closest("#explore form");
  if (!form || form.hasAttribute("hx-post")) return;
  event.preventDefault();
  if (form.matches(".range")) { setRange(form.closest(".number"), form.elements.min.value.trim(), form.elements.max.value.trim()); return; }
  go(`${form.action.split("?")[0]}?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value))}`);
});
addEventListener("popstate", () => root()?.dataset.base === location.pathname && go(location.href, { push: false }));

document.addEventListener("change", (event) => {
  if (event.target.id === "ex-table") {
    const tab = event.target.dataset.to;
    location.assign(`${ROOT}/explore/${encodeURIComponent(event.target.value)}${tab ? `/${tab}` : ""}`);
  }
  if (event.target.id === "sort") go(changed({ sort: event.target.value }));
});

/** The address of this page with other values. */
function changed(values) {
  const to = new URL(location.href);
  for (const [name, value] of Object.entries(values)) value === "" || value === null ? to.searchParams.delete(name) : to.searchParams.set(name, value);
  return to.href;
}

// The threshold of a search.
let waiting = 0;
const panel = () => document.getElementById("panel");
const decimals = (value) => Number(value.toFixed(4));

function setCut() {
  const box = panel();
  if (!box) return;
  const { low, high, cut } = { low: +box.dataset.low, high: +box.dataset.high, cut: +box.dataset.cut };
  document.getElementById("cut").value = high > low ? Math.round((1000 * (cut - low)) / (high - low)) : 0;
  shade(cut);
}

/** Bins below the threshold are pale. */
function shade(cut) {
  const { low, high } = { low: +panel().dataset.low, high: +panel().dataset.high };
  const bars = panel().querySelector(".bars");
  const bins = bars.viewBox.baseVal.width;
  for (const bar of bars.children) bar.classList.toggle("out", low + ((bar.x.baseVal.value + 1) * (high - low)) / bins <= cut);
}

function cutAt(cut, wait) {
  document.getElementById("cut-number").value = cut.toFixed(4);
  shade(cut);
  clearTimeout(waiting);
  waiting = setTimeout(() => go(changed({ cut: decimals(cut) <= decimals(+panel().dataset.low) ? "" : decimals(cut) }), { only: "results" }), wait);
}

document.addEventListener("input", (event) => {
  if (event.target.id !== "cut") return;
  const { low, high } = { low: +panel().dataset.low, high: +panel().dataset.high };
  cutAt(low + ((high - low) * event.target.value) / 1000, 70);
});
document.addEventListener("keydown", (event) => {
  if (event.target.id !== "cut-number" || event.key !== "Enter" || Number.isNaN(parseFloat(event.target.value))) return;
  const cut = parseFloat(event.target.value);
  panel().dataset.cut = cut;
  setCut();
  cutAt(cut, 0);
});

// Ranges: drag over a histogram.
let drag = null;

function setRange(number, min, max) {
  const to = new URL(number.dataset.url, location.href);
  if (min !== "") to.searchParams.set(`min.${number.dataset.name}`, min);
  if (max !== "") to.searchParams.set(`max.${number.dataset.name}`, max);
  go(to.href);
}

function paint(number, from, to) {
  const mark = number.querySelector(".chosen rect");
  mark.setAttribute("x", 100 * Math.min(from, to));
  mark.setAttribute("width", 100 * Math.abs(to - from));
}

function showRange(number) {
  const { low, high } = { low: +number.dataset.low, high: +number.dataset.high };
  const { min, max } = number.querySelector("form").elements;
  if (min.value === "" && max.value === "") return;
  const share = (value, otherwise) => (value === "" || high <= low ? otherwise : Math.min(1, Math.max(0, (value - low) / (high - low))));
  paint(number, share(min.value, 0), share(max.value, 1));
}

const along = (brush, event) => {
  const box = brush.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
};
document.addEventListener("pointerdown", (event) => {
  const brush = event.target.closest?.(".brush");
  if (!brush) return;
  drag = { brush, from: along(brush, event) };
  brush.setPointerCapture(event.pointerId);
});
document.addEventListener("pointermove", (event) => {
  if (drag) paint(drag.brush.closest(".number"), drag.from, along(drag.brush, event));
});
document.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { brush, from } = drag;
  const to = along(brush, event);
  drag = null;
  const number = brush.closest(".number");
  if (Math.abs(to - from) < 0.01) { paint(number, 0, 0); setRange(number, "", ""); return; }
  const value = (share) => Number((+number.dataset.low + share * (number.dataset.high - number.dataset.low)).toPrecision(6));
  setRange(number, value(Math.min(from, to)), value(Math.max(from, to)));
});

// One row at a time.
const cards = () => [...document.querySelectorAll("#scroll [data-at]")];
const here = () => document.querySelector("#scroll .here");

function choose(card) {
  if (!card) return;
  here()?.classList.remove("here");
  card.classList.add("here");
  card.scrollIntoView({ block: "nearest" });
  open({ at: card.dataset.at, of: root().dataset.of });
  history.replaceState(null, "", changed({ row: card.dataset.uid }));
}

function open(which) {
  const drawer = document.getElementById("drawer");
  drawer.hidden = false;
  window.htmx.ajax("GET", `${root().dataset.base}/row?${new URLSearchParams(which)}`, { target: drawer, swap: "innerHTML" });
}

function close() {
  document.getElementById("drawer").hidden = true;
  here()?.classList.remove("here");
  history.replaceState(null, "", changed({ row: null }));
}

// Rows selected by hand: Ctrl or Shift and a click, or x on the row that is open.
const byHand = () => [...document.querySelectorAll("#scroll [data-at].by-hand")];

function select(card) {
  card?.classList.toggle("by-hand");
  const bar = document.getElementById("by-hand");
  bar.hidden = !byHand().length;
  bar.querySelector("b").textContent = byHand().length;
}

async function showSelected() {
  try {
    const positions = byHand().map((card) => Number(card.dataset.at));
    const { query } = await post(`${root().dataset.base}/pick`, { of: root().dataset.of, positions });
    go(`${root().dataset.base}?${query}`);
  } catch (error) { say(error.message, true); }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("#by-hand button");
  if (!button) return;
  if (button.dataset.do === "show") showSelected();
  else byHand().forEach(select);
});

document.addEventListener("click", (event) => {
  const card = event.target.closest("#scroll [data-at]");
  if (card && (event.ctrlKey || event.metaKey || event.shiftKey)) { event.preventDefault(); select(card); return; }
  if (card) choose(card);
  if (event.target.id === "close") close();
  if (event.target.id === "size") {
    localStorage.setItem("shots", ((Number(localStorage.getItem("shots")) || 0) + 1) % SIZES.length);
    ready();
  }
});
document.addEventListener("keydown", (event) => {
  if (typing(event) || !document.getElementById("scroll")) return;
  const all = cards();
  const at = all.indexOf(here());
  const line = all.filter((card) => card.offsetTop === all[0]?.offsetTop).length || 1;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: line, ArrowUp: -line };
  if (event.key in steps && (at >= 0 || event.key === "ArrowRight" || event.key === "ArrowDown")) {
    event.preventDefault();
    choose(all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + steps[event.key]))]);
  }
  if (event.key === "x") select(here());
  if (event.key === "Escape") close();
  if (event.key === "/") { event.preventDefault(); document.getElementById("q")?.focus(); }
});

document.addEventListener("error", (event) => event.target.tagName === "IMG" && event.target.classList.add("gone"), true);
const asked = new URL(location.href).searchParams.get("row");
if (asked) addEventListener("load", () => open({ uid: asked }));
document.body.addEventListener("htmx:afterSettle", () => { for (const number of document.querySelectorAll(".number")) showRange(number); });
ready();
