// While something runs, the page brings itself up to date.
import { tellTimes } from "./times.js";

// Attributes that say what the reader has done, not what the server tells.
const THE_READERS = ["open", "tabindex"];

// What an element is, whatever its place among the others: by what it does or is called.
function nameOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
  const told = ["id", "href", "action", "name", "value", "class"]
    .map((name) => node.getAttribute(name)).filter(Boolean);
  return [node.nodeName, ...told].join(" ");
}

// Make `old` like `fresh` and leave alone what is the same: so the focus, what is typed, ticked,
// scrolled or unfolded stays, and no picture is fetched again.
function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.nodeType !== Node.ELEMENT_NODE) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !THE_READERS.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !THE_READERS.includes(name)) old.setAttribute(name, value);
  }
  const rest = [...old.childNodes];
  let before = null;
  for (const child of [...fresh.childNodes]) {
    const name = nameOf(child);
    const found = rest.findIndex((one) => nameOf(one) === name);
    const kept = found < 0 ? null : rest[found];
    if (kept) {
      for (const gone of rest.splice(0, found + 1).slice(0, -1)) gone.remove();
      update(kept, child);
      before = kept.isConnected ? kept : child;
    } else {
      if (before) before.after(child);
      else old.prepend(child);
      before = child;
    }
  }
  for (const gone of rest) gone.remove();
}

// Put what was fetched into the page. Where what had the focus is gone, its like gets it, or else
// the part that is brought up to date: the next Tab leads on from there.
export function bringUpToDate(live, fresh) {
  const focused = live.contains(document.activeElement) ? document.activeElement : null;
  update(live, fresh);
  if (!focused || document.activeElement === focused) return;
  const name = nameOf(focused);
  const like = [...live.querySelectorAll(focused.nodeName)].find((one) => nameOf(one) === name);
  if (!like) live.tabIndex = -1;
  (like ?? live).focus({ preventScroll: true });
}

function sayLoggedOut(live, page) {
  if (document.querySelector("[data-logged-out]")) return;
  const said = document.createElement("p");
  said.className = "notice";
  said.dataset.loggedOut = "";
  said.setAttribute("role", "alert");
  said.append("You are logged out by now; what is new is not shown here. ");
  const login = page.querySelector("a[data-login]");
  if (login) {
    login.className = "";
    said.append(login);
  }
  live.before(said);
}

async function look() {
  const live = document.getElementById("live");
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (answer.status === 401) sayLoggedOut(live, page);
    else document.querySelector("[data-logged-out]")?.remove();
    if (answer.ok && fresh) {
      tellTimes(fresh);
      bringUpToDate(live, fresh);
    }
  } catch { /* the server restarts: ask again */ }
  wait();
}

function wait() {
  const seconds = document.getElementById("live")?.dataset.poll;
  if (seconds) setTimeout(look, 1000 * seconds);
}

tellTimes(document);
wait();
