// Photos: their overlays, and one photo over the whole page.
import { byId } from "./dialogs.js";

// A photo that cannot be opened is replaced by a sentence.
for (const image of document.querySelectorAll(".picture img")) {
  const tell = () => {
    const told = Object.assign(document.createElement("span"), { className: "broken", textContent: image.dataset.broken });
    image.replaceWith(told);
  };
  if (image.complete && !image.naturalWidth) tell();
  else image.addEventListener("error", tell);
}

// Overlays replace the photos.
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

// Zoom: one photo over the whole page, enlarged up to eight times.
export const zoom = byId("zoom");
const pictures = [...document.querySelectorAll(".picture")];
let shown = 0;
let scale = 1;
function show(at) {
  shown = (at + pictures.length) % pictures.length;
  const picture = pictures[shown];
  const image = zoom.querySelector("img");
  const overlaid = overlays?.getAttribute("aria-pressed") === "true" && picture.dataset.overlayLarge;
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
export function zoomKey(event) {
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

// The first photo of the next group is fetched ahead.
const ahead = document.querySelector("[data-ahead]");
if (ahead) addEventListener("load", () => (new Image().src = ahead.dataset.ahead));
