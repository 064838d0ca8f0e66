// One place for photographs of this machine: chosen, dropped anywhere on the page, or pasted. Each is
// uploaded at once, and its path becomes a line of the form. Without a script the form takes one.
"use strict";

{
  const AT_ONCE = 2; // as many as the server decodes for one user
  const area = document.querySelector("[data-uploads]");
  const form = area?.closest("form");
  const lines = form?.elements.image_path;
  const file = area?.querySelector("input[name=photograph]");
  const folder = area?.querySelector("input[data-folder]");
  const status = area?.querySelector("[role=status]");
  const refused = area?.querySelector("ul");
  const most = Number(area?.dataset.most);
  const suffixes = file?.accept.split(",").filter((word) => word.startsWith(".")) ?? [];

  const waiting = [];
  let sending = 0, done = 0, asked = 0, passedOver = 0;
  let submitter = null; // of a form that was sent while uploads go on

  const isPhotograph = ({ name, type }) => type.startsWith("image/")
    || suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
  const count = (number) => `${number.toLocaleString("en")} photograph${number === 1 ? "" : "s"}`;

  function tell() {
    const left = waiting.length + sending;
    const more = passedOver ? `; ${passedOver.toLocaleString("en")} other files are left out` : "";
    status.textContent = left
      ? `${(asked - left).toLocaleString("en")} of ${count(asked)} uploaded${more}`
      : `${count(done)} uploaded${more}`;
  }

  function refuse(name, reason) {
    const item = document.createElement("li");
    item.textContent = reason.startsWith(name) ? reason : `${name}: ${reason}`;
    refused.append(item);
  }

  // As lines of the form; a path that stands there already is one.
  function write(path) {
    const written = lines.value.split("\n").map((line) => line.trim()).filter(Boolean);
    if (written.includes(path)) return;
    lines.value = [...written, path].join("\n");
    lines.dispatchEvent(new Event("change", { bubbles: true })); // as if it had been typed
  }

  async function send(photograph) {
    if (photograph.size > file.dataset.limit) {
      throw new Error("too large; reduce it, or put it into S3");
    }
    const body = new FormData();
    body.append("photograph", photograph, photograph.name);
    let answer;
    try {
      answer = await fetch(area.dataset.uploads, { method: "POST", body, credentials: "same-origin" });
    } catch {
      throw new Error("cannot be read, or the server does not answer; try again");
    }
    let told = {};
    try { told = await answer.json(); } catch { /* a page */ }
    if (answer.ok && told.image_path) return told.image_path;
    if (answer.status === 401) throw new Error("you are logged out; log in, and upload it again");
    throw new Error(typeof told.detail === "string" ? told.detail : `the server answers ${answer.status}`);
  }

  async function next() {
    const photograph = waiting.shift();
    if (!photograph) return;
    sending += 1;
    tell();
    try {
      write(await send(photograph));
      done += 1;
    } catch (error) {
      refuse(photograph.name, error.message);
    }
    sending -= 1;
    tell();
    if (waiting.length) next();
    else if (!sending) finish();
  }

  function finish() {
    const button = submitter;
    submitter = null;
    if (button !== null && !refused.childElementCount) form.requestSubmit(button);
  }

  function take(files) {
    const room = Math.max(0, most - waiting.length - sending);
    if (!waiting.length && !sending) {
      asked = done = passedOver = 0;
      refused.replaceChildren();
    }
    if (files.length > room) {
      refuse(`${(files.length - room).toLocaleString("en")} more`, `one search takes ${most.toLocaleString("en")}`);
    }
    const taken = files.slice(0, room);
    waiting.push(...taken);
    asked += taken.length;
    tell();
    while (sending < AT_ONCE && waiting.length) next();
  }

  function takeFolder(files) {
    const photographs = files.filter(isPhotograph);
    take(photographs);
    passedOver += files.length - photographs.length;
    tell();
  }

  // What is dropped may be folders of folders; a browser gives a hundred entries at a time.
  async function filesOf(entry) {
    if (entry.isFile) {
      return [await new Promise((resolve, reject) => { entry.file(resolve, reject); })];
    }
    const reader = entry.createReader();
    const files = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
      if (!some.length) return files;
      for (const below of some) files.push(...await filesOf(below));
    }
  }

  async function takeDropped(transfer) {
    const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = Array.from(transfer.files);
    if (!entries.some((entry) => entry.isDirectory)) {
      take(files);
      return;
    }
    try {
      const found = await Promise.all(entries.map(filesOf));
      takeFolder(found.flat());
    } catch {
      refuse("The folder", "cannot be read; try again");
    }
  }

  if (area) {
    file.multiple = true;
    // Sent by itself, and not with the form as well.
    const empty = (input) => {
      const files = Array.from(input.files);
      input.value = "";
      input.setCustomValidity("");
      return files;
    };
    file.addEventListener("change", () => { if (file.files.length) take(empty(file)); });
    folder.addEventListener("change", () => { if (folder.files.length) takeFolder(empty(folder)); });
    area.querySelector("button").addEventListener("click", () => { folder.click(); });

    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      area.classList.add("dropping");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) area.classList.remove("dropping");
    });
    addEventListener("drop", (event) => {
      area.classList.remove("dropping");
      if (!hasFiles(event)) return;
      event.preventDefault();
      takeDropped(event.dataTransfer);
    });
    addEventListener("paste", (event) => {
      const files = Array.from(event.clipboardData?.files ?? []);
      // Of a text with a picture of it the text is meant.
      if (!files.length || event.clipboardData.types.includes("text/plain")) return;
      event.preventDefault();
      take(files);
    });
    form.addEventListener("submit", (event) => {
      if (!waiting.length && !sending) return;
      event.preventDefault();
      submitter = event.submitter;
    });
  }
}
