// Keys press what stands on the page: whatever a key does, a click or a tap does too.
"use strict";
const byId = (id) => document.getElementById(id);
const FIELDS = "input:not([type=checkbox]), select, textarea";

function press(target) {
  if (target.matches(FIELDS)) {
    target.focus();
    if (target.select) target.select();
  } else target.click();
}

function moveInQueue(step) {
  const rows = [...document.querySelectorAll(".queue .row")];
  const at = rows.indexOf(document.activeElement);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
  if (next) next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && document.activeElement.matches(FIELDS)) {
    document.activeElement.blur();
    return;
  }
  if (event.target.matches(FIELDS)) return;
  if (zoom && zoom.open) return zoomKey(event);
  if (event.key === "j" || event.key === "k") return moveInQueue(event.key === "j" ? 1 : -1);
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target || target.hidden) return;
  event.preventDefault();
  press(target);
});

// A decision is on disk when the server has answered; until then the page stays, and says so.
const decide = byId("decide");
let sending = false;
if (decide)
  decide.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    sending = true;
    const body = new URLSearchParams(new FormData(decide, event.submitter));
    byId("not-saved").hidden = true;
    try {
      const answer = await fetch(decide.action, { method: "POST", body, headers: { Accept: "application/json" } });
      if (answer.ok) return location.assign((await answer.json()).next);
      // A conflict, or a line that is none: the page that says so comes as an answer to the form itself.
      const choice = Object.assign(document.createElement("input"), { type: "hidden", name: "choice" });
      choice.value = event.submitter.value;
      decide.append(choice);
      decide.submit();
    } catch {
      byId("not-saved").hidden = false;
    }
    sending = false;
  });
addEventListener("pageshow", () => (sending = false));

// Photos that cannot be opened say so in words.
for (const image of document.querySelectorAll(".picture img")) {
  const tell = () => {
    const told = Object.assign(document.createElement("span"), { className: "broken", textContent: image.dataset.broken });
    image.replaceWith(told);
  };
  if (image.complete && !image.naturalWidth) tell();
  else image.addEventListener("error", tell);
}

// Overlays in the place of photos.
const overlays = byId("overlays");
const drawn = [...document.querySelectorAll(".picture[data-overlay]")];
if (overlays && drawn.length) {
  overlays.hidden = false;
  overlays.addEventListener("click", () => {
    const on = overlays.getAttribute("aria-pressed") !== "true";
    overlays.setAttribute("aria-pressed", on);
    for (const picture of drawn) {
      const image = picture.querySelector("img");
      if (!image) continue;
      image.dataset.plain ??= image.src;
      image.src = on ? picture.dataset.overlay : image.dataset.plain;
    }
  });
}

// Zoom: one photo over the whole page, as large as wanted.
const zoom = byId("zoom");
const pictures = [...document.querySelectorAll(".picture")];
let shown = 0;
let scale = 1;
function show(at) {
  shown = (at + pictures.length) % pictures.length;
  const picture = pictures[shown];
  const image = zoom.querySelector("img");
  const overlaid = overlays.getAttribute("aria-pressed") === "true" && picture.dataset.overlayLarge;
  image.src = overlaid || picture.dataset.large;
  image.alt = picture.querySelector("img")?.alt ?? "";
  byId("zoomed").textContent = image.alt;
  resize(1);
  if (!zoom.open) zoom.showModal();
}
function resize(to) {
  scale = Math.min(8, Math.max(1, to));
  const image = zoom.querySelector("img");
  image.classList.toggle("larger", scale > 1);
  image.style.width = scale > 1 ? `${scale * 100}%` : "";
}
function zoomKey(event) {
  const does = {
    z: () => show(shown + 1), n: () => show(shown + 1), b: () => show(shown - 1),
    "+": () => resize(scale * 1.5), "=": () => resize(scale * 1.5), "-": () => resize(scale / 1.5),
    q: () => zoom.close(),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}
if (zoom) {
  pictures.forEach((picture, at) => picture.addEventListener("click", () => show(at)));
  byId("close").addEventListener("click", () => zoom.close());
  byId("larger").addEventListener("click", () => resize(scale * 1.5));
  byId("smaller").addEventListener("click", () => resize(scale / 1.5));
  zoom.querySelector(".scroll").addEventListener("dblclick", () => resize(scale > 1 ? 1 : 3));
}

// The next group's first photo is fetched while this one is looked at.
const ahead = document.querySelector("[data-ahead]");
if (ahead) addEventListener("load", () => (new Image().src = ahead.dataset.ahead));
