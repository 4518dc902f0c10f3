// The map: points that can be panned, zoomed, inspected and selected with a lasso.
import { ROOT, post, say, typing } from "./studio.js";
import { pointsOn } from "./explore_points.js";

const map = document.getElementById("map");
const { base, of } = document.getElementById("explore").dataset;
const HUES = ["#4e79a7", "#e8833a", "#3f9b62", "#d1495b", "#8e6bbf", "#b8892b", "#2aa3a3", "#d178ab", "#7a8b2f", "#5f6fd0", "#a5654a", "#6c8aa8"];
const RAMP = ["#3b2e6e", "#35608d", "#218f8d", "#4dbb6d", "#c8d845", "#fdd835"];
const OTHER = 250, NOTHING = 251;

const see = { x: 0, y: 0, zoom: 1 };
const now = { coordinates: null, rows: null, codes: null, marks: null, found: null, picked: null, hidden: new Set(), legend: [] };
let drawer = null, dirty = false, index = null;

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const bit = (bits, at) => (bits[at >> 3] >> (at & 7)) & 1;

function palette(shades) {
  const found = new Uint8Array(4 * 256);
  const put = (code, colour, alpha = 215) => found.set([...colour, alpha], 4 * code);
  if (shades) for (let code = 0; code < 64; code++) put(code, ramp(code / 63));
  else HUES.forEach((hue, code) => put(code, rgb(hue)));
  put(OTHER, [150, 155, 160], 120);
  put(NOTHING, [150, 155, 160], 70);
  return found;
}

function ramp(share) {
  const at = share * (RAMP.length - 1), low = Math.min(RAMP.length - 2, Math.floor(at));
  const [one, other] = [rgb(RAMP[low]), rgb(RAMP[low + 1])];
  return one.map((value, channel) => Math.round(value + (other[channel] - value) * (at - low)));
}

// Drawing.

function fit() {
  const ratio = Math.min(2, devicePixelRatio || 1);
  for (const canvas of map.querySelectorAll("canvas")) {
    canvas.width = Math.max(1, Math.round(map.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(map.clientHeight * ratio));
  }
  paint();
}

/** Units of the canvas (from -1 to 1) per unit of the map. */
function scale() {
  const { clientWidth: wide, clientHeight: high } = map;
  const least = Math.min(wide, high) * 0.94 * see.zoom;
  return [least / wide, least / high];
}

function paint() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => {
    dirty = false;
    if (!drawer || !now.codes) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const dense = Math.max(2.2, Math.min(7, 260 / Math.sqrt(now.rows.length)));
    drawer.draw({ scale: scale(), middle: [see.x, see.y], size: dense * ratio * Math.min(2.6, Math.sqrt(see.zoom)) });
    drawLasso();
    map.dataset.drawn = Number(map.dataset.drawn || 0) + 1;
  });
}

/** Map coordinates of a point on the page, and back. */
const toMap = (x, y) => {
  const [sx, sy] = scale();
  return [((2 * x) / map.clientWidth - 1) / sx + see.x, (1 - (2 * y) / map.clientHeight) / sy + see.y];
};
const toPage = (x, y) => {
  const [sx, sy] = scale();
  return [(((x - see.x) * sx + 1) * map.clientWidth) / 2, ((1 - (y - see.y) * sy) * map.clientHeight) / 2];
};

// Data.

async function ask(path) {
  for (;;) {
    const answer = await fetch(`${base}/map/${path}`);
    if (!answer.ok) throw new Error((await answer.text()).replace(/<[^>]*>/g, " ").trim().slice(-300));
    if (answer.status !== 202) return answer;
    document.getElementById("map-wait").textContent = "computing the map: this is done once, and takes minutes for many rows …";
    await new Promise((wait) => setTimeout(wait, 1000));
  }
}

async function load() {
  const { vec, method } = map.dataset;
  const answer = await ask(`points?${new URLSearchParams({ vec, method })}`);
  const buffer = await answer.arrayBuffer();
  const [count, of] = new Uint32Array(buffer, 0, 2);
  now.coordinates = new Float32Array(buffer, 8, 2 * count);
  now.rows = new Uint32Array(buffer, 8 + 8 * count, count);
  now.picked = new Uint8Array(count);
  index = indexed(now.coordinates);
  drawer = pointsOn(document.getElementById("points"));
  map.dataset.renderer = drawer.kind;
  document.getElementById("map-count").textContent =
    count < of ? `${count.toLocaleString("en")} of ${of.toLocaleString("en")} rows, sampled by hash` : `${count.toLocaleString("en")} rows`;
  drawer.set({ coordinates: now.coordinates });
  await colour(map.dataset.by);
  document.getElementById("map-wait").hidden = true;
  fit();
}

async function colour(by) {
  const { vec, method, query } = map.dataset;
  const answer = await ask(`colours?${query ? `${query}&` : ""}${new URLSearchParams({ vec, method, by })}`);
  const made = await answer.json();
  map.dataset.by = by;
  document.getElementById("by-name").textContent = by;
  Object.assign(now, { codes: bytes(made.codes), found: bytes(made.found), legend: made.legend, shades: made.shades, hidden: new Set() });
  drawer.set({ codes: now.codes, palette: palette(made.shades) });
  mark();
  legend();
}

/** Marks of the points, see PASSES. */
function mark() {
  now.marks = new Uint8Array(now.rows.length);
  for (let i = 0; i < now.marks.length; i++) {
    const shown = bit(now.found, i) && !now.hidden.has(now.codes[i]);
    now.marks[i] = now.picked[i] ? 3 : !shown ? 0 : now.codes[i] >= OTHER ? 1 : 2;
  }
  drawer.set({ marks: now.marks });
  paint();
}

function legend() {
  const list = document.getElementById("legend");
  list.replaceChildren();
  const colours = palette(now.shades);
  const tone = (code) => `rgb(${colours[4 * code]} ${colours[4 * code + 1]} ${colours[4 * code + 2]})`;
  if (now.shades) {
    const bar = Object.assign(document.createElement("canvas"), { className: "ramp", width: 64, height: 1 });
    const context = bar.getContext("2d");
    for (let code = 0; code < 64; code++) { context.fillStyle = tone(code); context.fillRect(code, 0, 1, 1); }
    const ends = Object.assign(document.createElement("div"), { className: "ends small soft" });
    for (const hue of now.legend.filter((one) => one.code < 64)) ends.append(Object.assign(document.createElement("span"), { textContent: hue.words }));
    list.append(bar, ends);
    return;
  }
  for (const hue of now.legend) {
    const line = document.createElement("button");
    const dot = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const context = dot.getContext("2d");
    context.fillStyle = tone(hue.code);
    context.fillRect(0, 0, 1, 1);
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: hue.words, title: hue.words });
    const rows = Object.assign(document.createElement("span"), { className: "soft", textContent: hue.rows.toLocaleString("en") });
    line.append(dot, name, rows);
    line.addEventListener("click", () => only(hue.code));
    line.setAttribute("aria-pressed", String(now.hidden.size > 0 && !now.hidden.has(hue.code)));
    list.append(line);
  }
}

/** Show one value alone, or with those that are shown already; all again once all are shown. */
function only(code) {
  const all = now.legend.map((hue) => hue.code);
  if (!now.hidden.size) now.hidden = new Set(all.filter((one) => one !== code));
  else if (now.hidden.has(code)) now.hidden.delete(code);
  else now.hidden.add(code);
  if (now.hidden.size === all.length) now.hidden = new Set();
  mark();
  legend();
}

// The nearest point: points in cells of a grid, by counting.

const CELLS = 200;
const cell = (value) => Math.min(CELLS - 1, Math.max(0, Math.floor(((value + 1) / 2) * CELLS)));

function indexed(coordinates) {
  const starts = new Uint32Array(CELLS * CELLS + 1), items = new Uint32Array(coordinates.length / 2);
  const of = (i) => cell(coordinates[2 * i + 1]) * CELLS + cell(coordinates[2 * i]);
  for (let i = 0; i < items.length; i++) starts[of(i) + 1]++;
  for (let at = 0; at < CELLS * CELLS; at++) starts[at + 1] += starts[at];
  const next = starts.slice();
  for (let i = 0; i < items.length; i++) items[next[of(i)]++] = i;
  return { starts, items };
}

function nearest(x, y, pixels) {
  const [mx, my] = toMap(x, y);
  const reach = Math.abs(toMap(x + pixels, y)[0] - mx);
  let best = -1, least = reach * reach;
  for (let row = cell(my - reach); row <= cell(my + reach); row++) {
    for (let column = cell(mx - reach); column <= cell(mx + reach); column++) {
      const at = row * CELLS + column;
      for (let k = index.starts[at]; k < index.starts[at + 1]; k++) {
        const i = index.items[k];
        if (!now.marks[i]) continue;
        const far = (now.coordinates[2 * i] - mx) ** 2 + (now.coordinates[2 * i + 1] - my) ** 2;
        if (far < least) { least = far; best = i; }
      }
    }
  }
  return best;
}

const tip = document.getElementById("tip");
let under = -1, resting = 0;

function hover(x, y) {
  const i = nearest(x, y, 9);
  if (i !== under) {
    under = i;
    clearTimeout(resting);
    tip.hidden = true;
    if (i >= 0) resting = setTimeout(() => tell(i), 60);
  }
  if (i < 0) return;
  const left = x + 190 > map.clientWidth ? x - 190 : x + 14;
  tip.style.transform = `translate(${left}px, ${Math.min(y + 14, map.clientHeight - 230)}px)`;
}

async function tell(i) {
  const at = now.rows[i];
  const image = tip.querySelector("img");
  image.classList.remove("gone");
  image.src = `${base}/picture?of=${of}&at=${at}&edge=320`;
  tip.querySelector("b").textContent = tip.querySelector("span").textContent = "";
  tip.hidden = false;
  const answer = await fetch(`${base}/brief?of=${of}&at=${at}`);
  if (i !== under || !answer.ok) return;
  const row = await answer.json();
  tip.querySelector("b").textContent = row.words[0] || row.uid;
  tip.querySelector("span").textContent = row.lost || row.words[1] || row.uid;
}

// Panning, zooming, the lasso.

let held = null, rope = null, lassoing = false;
const over = document.getElementById("over");

function setLasso(on) {
  lassoing = on;
  map.classList.toggle("lasso", on);
  document.getElementById("lasso").setAttribute("aria-pressed", String(on));
}

function zoomAt(x, y, by) {
  const before = toMap(x, y);
  see.zoom = Math.min(400, Math.max(0.5, see.zoom * by));
  const after = toMap(x, y);
  see.x += before[0] - after[0];
  see.y += before[1] - after[1];
  paint();
}

function drawLasso() {
  const context = over.getContext("2d");
  context.clearRect(0, 0, over.width, over.height);
  if (!rope || rope.length < 2) return;
  const ratio = over.width / map.clientWidth;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.beginPath();
  rope.forEach((corner, at) => context[at ? "lineTo" : "moveTo"](...toPage(...corner)));
  context.closePath();
  context.fillStyle = "rgb(90 167 216 / 0.15)";
  context.strokeStyle = "rgb(60 130 180)";
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
  context.setTransform(1, 0, 0, 1, 0, 0);
}

/** Whether a point is within a closed line, by the number of crossings. */
function within(x, y, line) {
  let inside = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [xi, yi] = line[i], [xj, yj] = line[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

async function pick(line) {
  const [xs, ys] = [line.map((corner) => corner[0]), line.map((corner) => corner[1])];
  const box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const bits = new Uint8Array(Math.ceil(now.rows.length / 8));
  let count = 0;
  now.picked.fill(0);
  mark();
  for (let i = 0; i < now.rows.length; i++) {
    const x = now.coordinates[2 * i], y = now.coordinates[2 * i + 1];
    now.picked[i] = now.marks[i] && x >= box[0] && x <= box[1] && y >= box[2] && y <= box[3] && within(x, y, line) ? 1 : 0;
    if (now.picked[i]) { bits[i >> 3] |= 1 << (i & 7); count++; }
  }
  mark();
  if (!count) { say("no points selected"); return; }
  const { vec, method, by } = map.dataset;
  let text = "";
  for (let at = 0; at < bits.length; at += 8192) text += String.fromCharCode(...bits.subarray(at, at + 8192));
  try {
    const { selection } = await post(`${base}/map/selection`, { vec, method, bits: btoa(text) });
    window.htmx.ajax("GET", `${base}/map/picked?${new URLSearchParams({ sel: selection, by })}`, { target: "#picked", swap: "innerHTML" });
  } catch (error) {
    say(error.message, true);
  }
}

if (map) {
  const at = (event) => { const box = map.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  map.addEventListener("pointerdown", (event) => {
    if (event.button || !drawer) return;
    map.setPointerCapture(event.pointerId);
    tip.hidden = true;
    if (lassoing || event.shiftKey) rope = [toMap(...at(event))];
    else { held = at(event); map.classList.add("held"); }
  });
  map.addEventListener("pointermove", (event) => {
    if (!drawer) return;
    const [x, y] = at(event);
    if (rope) { rope.push(toMap(x, y)); paint(); return; }
    if (!held) { hover(x, y); return; }
    const [from, to] = [toMap(...held), toMap(x, y)];
    see.x += from[0] - to[0];
    see.y += from[1] - to[1];
    held = [x, y];
    paint();
  });
  map.addEventListener("pointerup", () => {
    map.classList.remove("held");
    held = null;
    if (!rope) return;
    const line = rope;
    rope = null;
    setLasso(false);
    if (line.length > 2) pick(line);
    paint();
  });
  map.addEventListener("pointerleave", () => { tip.hidden = true; under = -1; });
  map.addEventListener("wheel", (event) => { event.preventDefault(); zoomAt(...at(event), Math.exp(-event.deltaY / 400)); }, { passive: false });
  map.addEventListener("dblclick", (event) => zoomAt(...at(event), 2));
  tip.querySelector("img").addEventListener("error", (event) => event.target.classList.add("gone"));
  new ResizeObserver(fit).observe(map);
  document.getElementById("lasso").addEventListener("click", () => setLasso(!lassoing));
  document.getElementById("whole").addEventListener("click", whole);
  document.getElementById("map-form").addEventListener("change", (event) => {
    if (event.target.name === "by") {
      const to = new URL(location.href);
      to.searchParams.set("by", event.target.value);
      history.replaceState(null, "", to);
      colour(event.target.value).catch(fail);
    } else event.target.form.requestSubmit();
  });
  document.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    if (event.key === "l") setLasso(!lassoing);
    if (event.key === "0") whole();
    if (event.key === "Escape") { setLasso(false); rope = null; now.picked?.fill(0); mark(); }
  });
  load().catch(fail);
}

function whole() {
  Object.assign(see, { x: 0, y: 0, zoom: 1 });
  paint();
}

function fail(error) {
  const wait = document.getElementById("map-wait");
  wait.hidden = false;
  wait.textContent = error.message;
}

document.addEventListener("change", (event) => {
  if (event.target.id === "ex-table") location.assign(`${ROOT}/explore/${encodeURIComponent(event.target.value)}/map`);
});
