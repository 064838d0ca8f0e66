// A picture in its frame: it fits; the wheel, a double click, buttons and keys enlarge it.

const LARGEST = 16;

// Enlarge the picture of a frame. Returns how to set its factor, and how large it is now.
export function zoomed(frame, picture) {
  let factor = 1, fit = null;
  const set = (wanted, x = frame.clientWidth / 2, y = frame.clientHeight / 2) => {
    const before = factor;
    factor = Math.min(LARGEST, Math.max(1, wanted));
    if (factor === 1) { // as the style has it
      frame.style.height = picture.style.width = picture.style.height = picture.style.maxHeight = "";
    } else {
      if (before === 1) {
        fit = picture.getBoundingClientRect();
        frame.style.height = `${frame.offsetHeight}px`;
        picture.style.maxHeight = "none";
      }
      picture.style.width = `${fit.width * factor}px`;
      picture.style.height = `${fit.height * factor}px`;
    }
    frame.scrollLeft = (frame.scrollLeft + x) * factor / before - x;
    frame.scrollTop = (frame.scrollTop + y) * factor / before - y;
    frame.classList.toggle("enlarged", factor > 1);
    sharpen(picture);
  };
  return { set, get factor() { return factor; } };
}

// Photographs that are shown larger than they were fetched are fetched in full, once.
async function sharpen(picture) {
  const images = picture.matches("[data-full]") ? [picture] : picture.querySelectorAll("[data-full]");
  for (const image of images) {
    const { width, height } = image.getBoundingClientRect();
    if (Math.max(width, height) * devicePixelRatio <= 1600) continue;
    const source = image.dataset.full;
    delete image.dataset.full;
    const whole = new Image();
    whole.src = source;
    whole.decode().then(
      () => image.setAttribute(image instanceof HTMLImageElement ? "src" : "href", source),
      () => { /* what is there stays */ },
    );
  }
}

function isTyping({ target }) {
  return target.matches?.("textarea, select, input:not([type=checkbox])");
}

function begin(frame) {
  const picture = frame.querySelector("svg, img");
  const lines = document.getElementById("lines");
  const zoom = zoomed(frame, picture);
  const at = (event) => {
    const box = frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  document.querySelector(".zoom-buttons").addEventListener("click", (event) => {
    const how = event.target.closest("button")?.dataset.zoom;
    if (how) zoom.set(how === "0" ? 1 : zoom.factor * (how === "+" ? 1.5 : 1 / 1.5));
  });
  frame.addEventListener("wheel", (event) => {
    if (zoom.factor === 1 && event.deltaY > 0 && !event.ctrlKey) return; // the page scrolls on
    event.preventDefault();
    zoom.set(zoom.factor * Math.exp(-event.deltaY / 300), ...at(event));
  }, { passive: false });
  frame.addEventListener("mousedown", (event) => {
    if (event.detail > 1) event.preventDefault(); // or words beside it would be selected
  });
  frame.addEventListener("dblclick", (event) => zoom.set(zoom.factor > 1 ? 1 : 3, ...at(event)));
  frame.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || event.buttons !== 1) return;
    frame.scrollLeft -= event.movementX;
    frame.scrollTop -= event.movementY;
  });
  picture.addEventListener("dragstart", (event) => event.preventDefault());
  addEventListener("resize", () => zoom.set(1));
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || isTyping(event)) return;
    const go = (rel) => document.querySelector(`a[rel=${rel}]`)?.click();
    if (event.key === "+" || event.key === "=") zoom.set(zoom.factor * 1.5);
    else if (event.key === "-") zoom.set(zoom.factor / 1.5);
    else if (event.key === "0") zoom.set(1);
    else if (event.key === "Escape") zoom.factor > 1 ? zoom.set(1) : go("up");
    else if (event.key.toLowerCase() === "l" && lines) lines.checked = !lines.checked;
    else if (zoom.factor > 1 && document.activeElement === frame) return; // the arrows scroll
    else if (event.key === "ArrowLeft") go("prev");
    else if (event.key === "ArrowRight") go("next");
  });
}

const frame = document.querySelector(".zoom");
if (frame) begin(frame);
