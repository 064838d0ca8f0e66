// A box on a photograph, drawn by mouse, finger or keys, and a photograph turned: both are kept in
// the fields of their form, which do as well without this.
const SIDES = ["x0", "y0", "x1", "y1"];
const LEAST_PX = 32; // of a side, as the search wants it
const CORNER_PX = 16; // on the screen: so near a corner is taken hold of
const DRAWN_PX = 1600;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const within = (value, least, most) => Math.min(Math.max(value, least), most);

class Part {
  constructor(figure) {
    this.figure = figure;
    this.form = figure.closest("form");
    this.stage = figure.querySelector(".stage");
    this.turned = this.stage.firstElementChild;
    this.fields = SIDES.map((side) => this.form.elements[side]);
    this.tools = this.form.querySelectorAll("[data-box], [data-turn]");
    this.frame = document.createElement("div");
    this.frame.className = "box";
    this.frame.tabIndex = 0;
    this.frame.setAttribute("role", "group");
    this.frame.setAttribute("aria-label",
      "The part: arrow keys move it, with Shift they change its size, Delete removes it");
    for (let corner = 0; corner < 4; corner++) this.frame.append(document.createElement("span"));
    this.turned.append(this.frame);
    for (const field of this.fields) field.addEventListener("input", () => this.show());
    this.form.elements.turn.addEventListener("change", () => this.layOut());
    this.form.addEventListener("click", ({ target }) => this.press(target.closest("button")));
    this.stage.addEventListener("pointerdown", (event) => this.begin(event));
    this.stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, () => this.end());
    }
    this.frame.addEventListener("keydown", (event) => this.key(event));
  }

  // The photograph is there, of this size in px.
  open(width, height) {
    [this.width, this.height] = [width, height];
    this.figure.hidden = false;
    for (const tool of this.tools) tool.hidden = false;
    this.layOut();
    this.show();
  }

  // Show another one.
  put(picture, width, height) {
    this.turned.querySelector("img, canvas")?.remove();
    this.turned.prepend(picture);
    this.open(width, height);
  }

  close() {
    this.figure.hidden = true;
    for (const tool of this.tools) tool.hidden = true;
    this.set(null);
    this.form.elements.turn.value = "";
  }

  get turn() { return Number(this.form.elements.turn.value); }

  // x0, y0, x1, y1 px of the photograph as it is; null without a box.
  get box() {
    if (this.fields.some((field) => field.value === "" || !field.validity.valid)) return null;
    const box = this.fields.map((field) => Number(field.value));
    return box[0] < box[2] && box[1] < box[3] ? box : null;
  }

  set(box) {
    this.fields.forEach((field, side) => { field.value = box ? Math.round(box[side]) : ""; });
    this.show();
  }

  show() {
    const box = this.box;
    this.frame.hidden = !box;
    if (!box) return;
    const share = (value, of) => `${100 * within(value / of, 0, 1)}%`;
    this.frame.style.left = share(box[0], this.width);
    this.frame.style.top = share(box[1], this.height);
    this.frame.style.right = share(this.width - box[2], this.width);
    this.frame.style.bottom = share(this.height - box[3], this.height);
  }

  // The stage has the form of the turned photograph, and in it the upright one is turned.
  layOut() {
    const across = this.turn % 180 !== 0;
    const [wide, high] = across ? [this.height, this.width] : [this.width, this.height];
    this.stage.classList.add("live");
    this.stage.style.aspectRatio = `${wide} / ${high}`;
    this.stage.style.maxWidth = `${(75 * wide) / high}vh`;
    this.turned.style.width = `${across ? (100 * high) / wide : 100}%`;
    this.turned.style.height = `${across ? (100 * wide) / high : 100}%`;
    this.turned.style.transform = `translate(-50%, -50%) rotate(${this.turn}deg)`;
  }

  // A step to the right and down on the screen, as one on the photograph.
  upright([right, down]) {
    return { 0: [right, down], 90: [down, -right], 180: [-right, -down], 270: [-down, right] }[this.turn];
  }

  // Where on the photograph a pointer is, in px of it.
  at(event) {
    const seen = this.stage.getBoundingClientRect();
    const step = [
      (event.clientX - seen.left) / seen.width - 0.5, (event.clientY - seen.top) / seen.height - 0.5,
    ];
    const [x, y] = this.upright(step);
    return [within(x + 0.5, 0, 1) * this.width, within(y + 0.5, 0, 1) * this.height];
  }

  begin(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    this.stage.setPointerCapture(event.pointerId);
    const at = this.at(event);
    const before = this.box;
    this.dragged = { before, from: at, fixed: at };
    if (!before) return;
    const near = (CORNER_PX * Math.max(this.width, this.height))
      / Math.max(this.stage.clientWidth, this.stage.clientHeight);
    const far = (corner) => Math.hypot(corner[0] - at[0], corner[1] - at[1]);
    const [x0, y0, x1, y1] = before;
    const corners = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
    const taken = corners.findIndex((corner) => far(corner) <= near);
    if (taken >= 0) this.dragged.fixed = corners[(taken + 2) % 4];
    else if (x0 < at[0] && at[0] < x1 && y0 < at[1] && at[1] < y1) this.dragged.fixed = null;
  }

  drag(event) {
    if (!this.dragged) return;
    const { before, from, fixed } = this.dragged;
    const at = this.at(event);
    if (fixed) {
      this.set([
        Math.min(fixed[0], at[0]), Math.min(fixed[1], at[1]),
        Math.max(fixed[0], at[0]), Math.max(fixed[1], at[1]),
      ]);
    } else {
      this.move(before, at[0] - from[0], at[1] - from[1]);
    }
  }

  // A click, or what is too small to be searched for, changes nothing.
  end() {
    if (!this.dragged) return;
    const box = this.box;
    const { before } = this.dragged;
    this.dragged = null;
    if (!box || box[2] - box[0] < LEAST_PX || box[3] - box[1] < LEAST_PX) this.set(before);
    if (this.box) this.frame.focus({ preventScroll: true });
  }

  move([x0, y0, x1, y1], right, down) {
    const x = within(x0 + right, 0, this.width - (x1 - x0));
    const y = within(y0 + down, 0, this.height - (y1 - y0));
    this.set([x, y, x + x1 - x0, y + y1 - y0]);
  }

  resize([x0, y0, x1, y1], right, down) {
    const least = Math.min(LEAST_PX, this.width, this.height);
    this.set([
      x0, y0, within(x1 + right, x0 + least, this.width), within(y1 + down, y0 + least, this.height),
    ]);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.box) return;
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== "Delete" && event.key !== "Backspace") return;
    event.preventDefault();
    if (!arrow) {
      this.set(null);
      this.form.querySelector("[data-box=draw]").focus();
      return;
    }
    const step = Math.max(1, Math.round(Math.max(this.width, this.height) / 100));
    const [right, down] = this.upright(arrow).map((way) => way * step);
    if (event.shiftKey) this.resize(this.box, right, down);
    else this.move(this.box, right, down);
  }

  press(button) {
    if (button?.dataset.box === "draw") {
      const [w, h] = [this.width, this.height];
      if (!this.box) this.set([w / 4, h / 4, (3 * w) / 4, (3 * h) / 4]);
      this.frame.focus();
    } else if (button?.dataset.box === "none") {
      this.set(null);
    } else if (button?.dataset.turn !== undefined) {
      this.form.elements.turn.value = String((this.turn + 90) % 360);
      this.layOut();
    }
  }
}

// A file that was chosen is drawn here: nothing is sent before the form is.
async function draw(file, part) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return; // of a kind that only the server can read: the numbers do without
  }
  const { width, height } = picture;
  const factor = Math.min(1, DRAWN_PX / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The photograph that you have chosen");
  [canvas.width, canvas.height] = [Math.ceil(width * factor), Math.ceil(height * factor)];
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  part.put(canvas, width, height);
}

// One that lies in S3 is shown as on the page that looks at it first.
async function look(path, part) {
  const address = new URL(part.look.formAction);
  address.searchParams.set("image_path", path);
  try {
    const answer = await fetch(address, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const figure = page.querySelector("[data-part]");
    if (!answer.ok || !figure || part.path !== path) return;
    const { width, height } = figure.dataset;
    part.put(figure.querySelector("img"), Number(width), Number(height));
  } catch { /* the server restarts: the form says what is wrong with it */ }
}

// The form of many: whatever photograph it names alone is shown.
function follow(part) {
  part.look = part.form.querySelector("[formmethod=get]");
  part.path = "";
  // Before others listen, who may take the file out of its field.
  part.form.addEventListener("change", ({ target }) => {
    if (target.type !== "file") return;
    part.close();
    const [file] = target.files;
    part.look.hidden = Boolean(file);
    part.isChosen = target.files.length === 1;
    if (part.isChosen) draw(file, part);
  }, true);
  part.form.elements.image_path.addEventListener("change", ({ target }) => {
    const lines = target.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const path = lines.length === 1 && !lines[0].endsWith("/") ? lines[0] : "";
    part.look.hidden = false;
    if (path === part.path) return;
    part.path = path;
    if (path && part.isChosen) { // it was sent meanwhile
      part.isChosen = false;
      return;
    }
    part.close();
    if (path) look(path, part);
  });
}

for (const figure of document.querySelectorAll("[data-part]")) {
  const part = new Part(figure);
  const { width, height } = figure.dataset;
  if (width) part.open(Number(width), Number(height));
  else follow(part);
}
