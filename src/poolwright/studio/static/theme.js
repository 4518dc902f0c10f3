// In a frame of another site a browser may refuse storage: then what is stored lasts as long as the page.
try {
  localStorage.length;
} catch {
  const stored = new Map();
  const storage = {
    getItem: (name) => stored.get(name) ?? null,
    setItem: (name, value) => stored.set(name, String(value)),
    removeItem: (name) => stored.delete(name),
  };
  Object.defineProperty(window, "localStorage", { value: storage });
}

// Runs before the page is drawn, so that it never flashes in the other theme.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
