// A second look at rows on which people differ.
import { ROOT, post, say, typing } from "./studio.js";

const root = document.getElementById("review");
const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

async function decide(card, answer) {
  const sent = { uid: card.dataset.uid, key: key(), comment: card.querySelector(".remark").value, ...answer };
  try {
    await post(`${ROOT}/verify/${encodeURIComponent(root.dataset.queue)}/say`, { act: `review ${key()}`, answers: [sent] });
    const next = card.nextElementSibling;
    card.remove();
    next?.focus?.();
    say("saved");
  } catch (error) { say(`not saved: ${error.message}`, true); }
}

root.addEventListener("click", (event) => {
  const card = event.target.closest(".differing");
  const button = event.target.closest("button");
  if (!card || !button) return;
  if ("pick" in button.dataset) {
    const names = [...card.querySelectorAll("input:checked"), card.querySelector(".pick")].map((input) => input.value);
    decide(card, { chosen: names.filter(Boolean) });
  } else decide(card, { verdict: button.dataset.verdict });
});
document.addEventListener("keydown", (event) => {
  const card = document.activeElement?.closest(".differing");
  const verdict = { y: "positive", n: "negative", u: "unsure" }[event.key];
  if (verdict && !typing(event)) card?.querySelector(`[data-verdict=${verdict}]`)?.click();
});
