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

// While something runs: fetch the page again and put in what has changed.
function poll() {
  const live = document.getElementById("live");
  if (!live?.dataset.poll) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (answer.ok && fresh && fresh.outerHTML !== live.outerHTML) {
        for (const { name, value } of live.querySelectorAll("input:checked")) {
          const box = fresh.querySelector(`input[name="${name}"][value="${value}"]`);
          if (box) box.checked = true; // what is selected stays so
        }
        live.replaceWith(fresh);
      }
    } catch { /* the server restarts: ask again */ }
    poll();
  }, 1000 * live.dataset.poll);
}

function zoom() {
  const frame = document.querySelector(".zoom");
  const picture = frame?.querySelector("img");
  if (!picture) return;
  let factor = 1;
  const set = (wanted, x = frame.clientWidth / 2, y = frame.clientHeight / 2) => {
    const before = factor;
    factor = Math.min(8, Math.max(1, wanted));
    picture.style.width = `${100 * factor}%`;
    frame.scrollLeft = (frame.scrollLeft + x) * factor / before - x;
    frame.scrollTop = (frame.scrollTop + y) * factor / before - y;
    frame.classList.toggle("enlarged", factor > 1);
  };
  const buttons = document.querySelector(".zoom-buttons");
  buttons.hidden = false;
  buttons.addEventListener("click", (event) => {
    const how = event.target.closest("button")?.dataset.zoom;
    if (how) set(how === "0" ? 1 : factor * (how === "+" ? 1.5 : 1 / 1.5));
  });
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    set(factor * Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  frame.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || event.buttons !== 1) return;
    frame.scrollLeft -= event.movementX;
    frame.scrollTop -= event.movementY;
  });
  picture.draggable = false;
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "+" || event.key === "-") set(factor * (event.key === "+" ? 1.5 : 1 / 1.5));
    if (factor > 1 && document.activeElement === frame) return; // there the arrows scroll
    const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    document.querySelector(`a[rel=${way}]`)?.click();
  });
}

// Airflow shows these pages in a frame that may not open others; its own page may.
addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[data-airflow]");
  if (!anchor || window.parent === window) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = anchor.href;
  outside.click();
});

// Said before it is sent: the server hangs up on what is too large.
addEventListener("change", ({ target }) => {
  if (!target.dataset?.limit) return;
  const large = Array.from(target.files).some((file) => file.size > target.dataset.limit);
  target.setCustomValidity(large ? "This photograph is too large; reduce it, or put it into S3." : "");
  target.reportValidity();
});

// One box ticks all others of a name; without a script there is none.
addEventListener("change", ({ target }) => {
  if (!target.dataset?.all) return;
  for (const box of document.getElementsByName(target.dataset.all)) box.checked = target.checked;
});

// Enter makes a line, as in any field of several; Ctrl and Enter, on a Mac Cmd, searches.
addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  if (event.target.name !== "image_path") return;
  event.preventDefault();
  event.target.form.requestSubmit(event.target.form.querySelector("button[data-search]"));
});

// A photograph that cannot be shown leaves its words; one that was deleted says so.
addEventListener("error", async ({ target }) => {
  if (!(target instanceof HTMLImageElement)) return;
  target.classList.add("missing");
  try {
    if ((await fetch(target.src, { credentials: "same-origin" })).status !== 410) return;
  } catch { return; /* the server restarts */ }
  const words = document.createElement("span");
  words.className = "blank gone";
  words.textContent = "This photograph is gone: it was deleted, or moved, since.";
  target.replaceWith(words);
}, true);

addEventListener("DOMContentLoaded", () => { poll(); zoom(); });
