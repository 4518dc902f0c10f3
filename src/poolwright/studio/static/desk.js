// A queue as one person works on it: prefetched pictures, verdicts being sent, and the progress of the group.

import { ROOT, post, say, typing } from "./studio.js";

const el = document.getElementById("desk");
const base = `${ROOT}/verify/${encodeURIComponent(el.dataset.queue)}`;
const shelf = `poolwright ${location.host}${ROOT} ${el.dataset.queue} ${el.dataset.me}`;

export const owner = "owner" in el.dataset;
export const key = () => (crypto.randomUUID ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join(""));
export const picture = (uid, edge) => `${ROOT}/picture?` + new URLSearchParams({ table: el.dataset.table, uid, edge });

/** A picture that is loaded before it is shown. */
export function preload(uid, edge) {
  const image = new Image();
  image.src = picture(uid, edge);
  return image;
}

export class Desk {
  constructor({ ahead, edge }) {
    this.group = el.dataset.group;
    this.ahead = ahead;
    this.edge = edge;
    this.cards = []; // shown or ahead, the first one now
    this.images = new Map(); // keeps pictures ahead in the browser's memory
    this.outbox = JSON.parse(localStorage.getItem(shelf) ?? "[]"); // verdicts that are not confirmed yet
    this.sending = null;
    this.filling = null;
    this.empty = false;
    this.onstate = () => {};
    addEventListener("pagehide", () => this.leave());
    addEventListener("online", () => this.send());
    if (this.outbox.length) say(`sending ${this.outbox.length} verdicts from last time`);
    this.send();
  }

  get held() { return [...this.cards.map((card) => card.uid), ...this.outbox.flatMap((one) => one.answers.map((a) => a.uid))]; }

  /** Ask for rows until there are enough ahead. */
  fill() {
    this.filling ??= this.#fill().finally(() => { this.filling = null; });
    return this.filling;
  }

  async #fill() {
    while (this.cards.length < this.ahead && !this.empty) {
      const number = Math.min(60, this.ahead - this.cards.length);
      let got;
      try {
        got = await post(`${base}/take`, { number, group: this.group, have: this.held });
      } catch (error) {
        say(`no pictures: ${error.message}`, true);
        return;
      }
      for (const card of got.cards) {
        if (this.cards.some((one) => one.uid === card.uid)) continue;
        this.cards.push(card);
        this.images.set(card.uid, preload(card.uid, this.edge));
      }
      this.empty = got.cards.length === 0;
      this.onstate(got.state);
    }
  }

  /** Give verdicts at once: [{uid, verdict, seconds}]. They are sent until the studio confirms them. */
  give(answers) {
    const act = key();
    this.outbox.push({ act, group: this.group, answers: answers.map((one) => ({ ...one, key: key() })) });
    this.#shelve();
    for (const { uid } of answers) this.drop(uid);
    this.send();
    return act;
  }

  drop(uid) {
    this.cards = this.cards.filter((card) => card.uid !== uid);
    this.images.delete(uid);
  }

  send() {
    this.sending ??= this.#send().finally(() => { this.sending = null; });
    return this.sending;
  }

  async #send() {
    for (let wait = 500; this.outbox.length; ) {
      this.onsaving?.(this.outbox.length);
      try {
        const { state } = await post(`${base}/say`, this.outbox[0]);
        this.outbox.shift();
        this.#shelve();
        wait = 500;
        this.onstate(state);
      } catch (error) {
        if (error.status === 400 || error.status === 422) { // it will never be accepted
          say(`not saved: ${error.message}`, true);
          this.outbox.shift();
          this.#shelve();
          continue;
        }
        say(error.status ? `not saved yet: ${error.message}` : "the studio does not respond; verdicts are kept in this browser and sent again", true);
        await new Promise((done) => setTimeout(done, wait));
        wait = Math.min(2 * wait, 8000);
      }
    }
    this.onsaving?.(0);
  }

  #shelve() {
    if (this.outbox.length) localStorage.setItem(shelf, JSON.stringify(this.outbox));
    else localStorage.removeItem(shelf);
  }

  /** Take back the last act; its rows are shown again. */
  async undo() {
    await this.send();
    const { cards, state } = await post(`${base}/undo`, { key: key(), group: this.group });
    if (!cards.length) { say("there is nothing to undo"); return cards; }
    for (const card of cards) { this.drop(card.uid); this.images.set(card.uid, preload(card.uid, this.edge)); }
    this.cards.unshift(...cards);
    this.empty = false;
    if (cards[0].group !== this.group && this.group) this.group = cards[0].group;
    this.onstate(state);
    return cards;
  }

  async skip(uids) {
    for (const uid of uids) this.drop(uid);
    this.empty = false;
    await post(`${base}/skip`, { uids, key: key() });
  }

  leave() {
    if (!this.cards.length) return;
    fetch(`${base}/leave`, {
      method: "POST", keepalive: true,
      headers: { "Content-Type": "application/json", "X-CSRF-Token": document.querySelector('meta[name="csrf"]').content },
      body: JSON.stringify({ uids: this.cards.slice(0, 120).map((card) => card.uid) }),
    }).catch(() => {});
  }

  gold(uid, verdict) {
    return fetch(`${base}/gold`, {
      method: "POST",
      headers: { "X-CSRF-Token": document.querySelector('meta[name="csrf"]').content },
      body: new URLSearchParams({ uid, verdict }),
    }).then((answer) => say(answer.ok ? "a gold question now" : "not made gold", !answer.ok));
  }

  known(uid, target) {
    return fetch(`${base}/row?${new URLSearchParams({ uid })}`)
      .then((answer) => answer.text())
      .then((html) => { target.innerHTML = html; }); // escaped by the studio's template
  }
}

const number = (value) => value.toLocaleString("en");

/** The column next to the pictures: the progress of the group, and a message when it is done. */
export class Side {
  constructor(desk, { undone }) {
    this.desk = desk;
    this.dialog = document.getElementById("done");
    this.announced = new Set(); // groups that were announced as done
    desk.onstate = (state) => this.show(state);
    desk.onsaving = (left) => {
      const saved = document.getElementById("saved");
      saved.textContent = left ? `saving ${left}…` : this.mine ? `${number(this.mine)} by you, saved` : "";
      saved.classList.toggle("unsure", left > 3);
    };
    document.getElementById("done-next").addEventListener("click", () => this.next());
    document.getElementById("done-undo").addEventListener("click", () => { this.dialog.close(); this.announced.delete(desk.group); undone(); });
    this.dialog.addEventListener("keydown", (event) => {
      event.stopPropagation(); // keys of the page have no effect here
      if (event.key === "z") { event.preventDefault(); document.getElementById("done-undo").click(); }
    });
  }

  show(state) {
    this.mine = state.mine;
    this.state = state;
    document.getElementById("group").textContent = state.group || "all rows";
    const bar = document.getElementById("bar");
    bar.max = Math.max(state.wanted ?? state.rows, 1); // annotators get the number of answers, not of verified rows
    bar.value = state.answers ?? state.verified;
    document.getElementById("counts").textContent = state.answers !== undefined ? `${number(state.answers)} answers about ${number(state.rows)} rows` : state.wrong === undefined ? "" :
      `${number(state.verified)} of ${number(state.rows)} verified, ${number(state.wrong)} wrong` + (state.unsure ? `, ${number(state.unsure)} unsure` : "") + (state.skipped ? `, ${number(state.skipped)} skipped` : "");
    document.getElementById("words").textContent = state.words;
    document.getElementById("words").classList.toggle("good", state.done);
    this.desk.onsaving(this.desk.outbox.length);
    if (!state.done) this.announced.delete(state.group);
    if (state.done && state.group === this.desk.group && !this.announced.has(state.group)) this.finish(state);
  }

  finish(state) {
    this.announced.add(state.group);
    document.getElementById("done-title").textContent = state.group ? `${state.group} is done` : "All rows are done";
    document.getElementById("done-words").textContent = state.next ? state.words : `${state.words}. There is nothing else to verify for you.`;
    document.getElementById("done-next").hidden = !state.next;
    if (!this.dialog.open) this.dialog.showModal();
    if (state.next) document.getElementById("done-next").focus();
  }

  /** Nothing is left for this person, though the group is not done. */
  wait() {
    document.getElementById("done-title").textContent = "Nothing left for you here";
    document.getElementById("done-words").textContent = "Others are looking at the rest, or are asked about it as well.";
    const next = this.state?.next;
    document.getElementById("done-next").hidden = !next || next === this.desk.group;
    if (!this.dialog.open) this.dialog.showModal();
  }

  next() {
    this.dialog.close();
    location.href = `${location.pathname}?group=${encodeURIComponent(this.state.next)}`;
  }
}

/** Whether a dialog is open, which keys of the page must not reach. */
export const covered = () => document.querySelector("dialog[open]") !== null;

/** The field for a comment on the picture that is shown. */
export const comment = document.getElementById("comment");
comment.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" && (event.key !== "Enter" || event.shiftKey)) return;
  event.preventDefault();
  comment.blur();
});

/** Take the comment out of the field. */
export function remark() {
  const said = comment.value.trim();
  comment.value = "";
  return said;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "c" || typing(event) || covered()) return;
  event.preventDefault();
  comment.focus();
});

for (const [name, id] of [["i", "guide"], ["m", "about"]]) {
  document.addEventListener("keydown", (event) => {
    if (event.key === name && !typing(event) && !covered()) {
      const details = document.getElementById(id);
      details.open = !details.open;
    }
  });
}
