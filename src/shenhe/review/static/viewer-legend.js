// The list of the objects of the shown photo: pointing at one lights its shape, a press hides it.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";
import { colourOf, objects } from "./viewer-shapes.js";

let legend;
const hidden = new Set(); // objects that are turned off, as "photo object"
const name = (photo, object) => `${photo} ${object}`;

function row(photo, object, number) {
  const item = document.createElement("li");
  item.dataset.photo = photo;
  item.dataset.object = object.key;
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const swatch = Object.assign(document.createElement("span"), { className: "swatch", textContent: number });
  swatch.style.background = colourOf(object.desc);
  button.append(swatch, Object.assign(document.createElement("bdi"), { textContent: object.desc }));
  button.addEventListener("click", () => {
    const key = name(photo, object.key);
    hidden.delete(key) || hidden.add(key);
    showWhatIsOn(photo);
  });
  item.append(button);
  return item;
}

export function listObjects(photo) {
  if (!legend) return;
  const listed = objects[photo] ?? [];
  legend.hidden = !(photo in objects);
  byId("objects-count").textContent = listed.length;
  lit = "";
  legend.querySelector("ol").replaceChildren(...listed.map((object, index) => row(photo, object, index + 1)));
  showWhatIsOn(photo);
}

function showWhatIsOn(photo) {
  for (const part of ofPhoto(photo)) {
    const off = hidden.has(name(photo, part.dataset.object));
    part.classList.toggle("off", off);
    if (part.matches("#legend li")) part.firstElementChild.setAttribute("aria-pressed", !off);
  }
}

const ofPhoto = (photo) => document.querySelectorAll(`[data-object][data-photo="${CSS.escape(photo)}"]`);

// Whatever stands for an object lights it everywhere: its shape, its row, the field of its desc.
let lit = "";
function light(target) {
  const { photo = "", object = "" } = target?.closest("[data-object]")?.dataset ?? {};
  const now = object && name(photo, object);
  if (now === lit) return;
  lit = now;
  for (const part of document.querySelectorAll("[data-object].lit")) part.classList.remove("lit");
  for (const part of object ? ofPhoto(photo) : []) part.classList.toggle("lit", part.dataset.object === object);
  if (target?.closest("svg")) bringIntoSight(legend.querySelector(".lit"));
}
// Only the list moves, not the page.
function bringIntoSight(item) {
  const list = legend.querySelector("ol");
  if (item) list.scrollTop = item.offsetTop - (list.clientHeight - item.offsetHeight) / 2;
}
const focused = () => document.activeElement?.closest("[data-object]");
onPage((left) => {
  legend = byId("legend");
  lit = "";
  hidden.clear();
  if (!legend) return;
  document.addEventListener("pointerover", (event) => light(event.target.closest("[data-object]") ?? focused()), { signal: left });
  document.addEventListener("focusin", (event) => light(event.target), { signal: left });
  document.addEventListener("focusout", (event) => event.relatedTarget || light(null), { signal: left });
});
