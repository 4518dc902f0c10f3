// Two groups: a value that is chosen is added at once. Another table is shown in the same view.
import { ROOT } from "./studio.js";

document.addEventListener("change", (event) => {
  if (event.target.matches(".add select")) event.target.form.requestSubmit();
  if (event.target.id === "ex-table") location.assign(`${ROOT}/explore/${encodeURIComponent(event.target.value)}/${event.target.dataset.to}`);
});
document.addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (field.name && field.value === "") field.disabled = true;
});
document.addEventListener("error", (event) => event.target.tagName === "IMG" && event.target.classList.add("gone"), true);
