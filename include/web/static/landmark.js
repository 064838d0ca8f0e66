// Loaded before the page is drawn: the theme must not flash.
"use strict";

// Airflow keeps its theme here ("light", "dark" or "system"), and writes it when it changes.
function followTheme() {
  let theme = null;
  try { theme = localStorage.getItem("theme"); } catch { /* storage may be forbidden */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
followTheme();
addEventListener("storage", followTheme);

// Airflow shows these pages in a frame that may not open others; its own page may.
addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[data-airflow]");
  if (!anchor || window.parent === window) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  const there = new URL(anchor.href);
  if (there.searchParams.has("next")) { // after the login: here, Airflow's page around it too
    there.searchParams.set("next", window.parent.location.pathname + window.parent.location.search);
  }
  outside.href = there;
  outside.click();
});

// Said before it is sent: the server hangs up on what is too large.
addEventListener("change", ({ target }) => {
  if (!target.dataset?.limit) return;
  const large = Array.from(target.files).some((file) => file.size > target.dataset.limit);
  target.setCustomValidity(large ? "This photograph is too large; reduce it, or put it into S3." : "");
  target.reportValidity();
});

// One box ticks all others of a name that are not folded away; without a script there is none.
addEventListener("change", ({ target }) => {
  if (!target.dataset?.all) return;
  for (const box of document.getElementsByName(target.dataset.all)) {
    if (!target.checked || !box.closest("details:not([open])")) box.checked = target.checked;
  }
});

// Enter makes a line, as in any field of several; Ctrl and Enter, on a Mac Cmd, searches.
addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  if (event.target.name !== "image_path") return;
  event.preventDefault();
  event.target.form.requestSubmit(event.target.form.querySelector("button[data-search]"));
});

// A photograph that cannot be shown leaves its words; what was deleted or removed says so.
addEventListener("error", async ({ target }) => {
  if (!(target instanceof HTMLImageElement)) return;
  target.classList.add("missing");
  let answer;
  try { answer = await fetch(target.src, { credentials: "same-origin" }); }
  catch { return; /* the server restarts */ }
  if (answer.status !== 410) return;
  const words = document.createElement("span");
  words.className = "blank gone";
  words.textContent = answer.headers.get("Landmark-Gone") === "result"
    ? "Its result was removed, or has had its time."
    : "This photograph is gone: it was deleted, or moved, since.";
  target.replaceWith(words);
}, true);
