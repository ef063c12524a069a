"use strict";
// The server renders every piece; here they are only put in their places.
const lost = document.getElementById("lost");
let ahead = 0; // of the server's clock, in ms
let asOf = document.querySelector("#server time").textContent;

const SPANS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

function span(seconds) { // as the server writes it
  for (const [length, unit] of SPANS) {
    if (seconds >= 2 * length) return `${Math.round(seconds / length)} ${unit}s`;
  }
  return "1 second";
}

function tick() {
  for (const time of document.querySelectorAll("time[data-since]")) {
    time.textContent = span((Date.now() - ahead - Date.parse(time.dateTime)) / 1000);
  }
}

function place(html) {
  const made = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  const old = document.getElementById(made.id);
  const focused = old?.contains(document.activeElement) ? document.activeElement.id : "";
  for (const open of old?.querySelectorAll("details[open]") ?? []) {
    made.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
  }
  if (old) old.replaceWith(made); else document.getElementById("groups").append(made);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  return made;
}

function placeServer(html) {
  const before = document.querySelector("#server h1").textContent;
  const server = place(html);
  const now = server.querySelector("h1").textContent;
  document.title = `${now.trim()} · rebootmgr-lockd`;
  if (now !== before) document.getElementById("said").textContent = now; // for screen readers
  asOf = server.querySelector("time").textContent;
  ahead = Date.now() - Date.parse(server.dataset.at);
  arrange();
  tick();
}

function placeGroup(html) {
  place(html);
  arrange();
  tick();
}

function arrange() { // as the server has them, what needs somebody first
  const groups = document.getElementById("groups");
  const focused = document.activeElement;
  const shown = document.getElementById("server").dataset.groups.split(" ").map((name) => `group-${name}`);
  for (const card of [...groups.children]) if (!shown.includes(card.id)) card.remove();
  let next = groups.firstElementChild;
  for (const card of shown.map((id) => document.getElementById(id)).filter(Boolean)) {
    if (card === next) next = next.nextElementSibling; else groups.insertBefore(card, next);
  }
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

function watch() {
  const source = new EventSource("/live");
  source.addEventListener("server", (event) => { lost.hidden = true; placeServer(event.data); });
  source.addEventListener("group", (event) => placeGroup(event.data));
  source.addEventListener("error", () => {
    lost.querySelector("span").textContent = `at ${asOf}`;
    lost.hidden = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(watch, 10000);
  });
}

setInterval(tick, 5000);
watch();
