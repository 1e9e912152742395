// The strip of thumbnails, which is also the contact sheet: the same list, in a row or as a grid.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";
import { fetchInSight, photos } from "./viewer-photos.js";

let strip, viewer, contact;
onPage(() => ([strip, viewer, contact] = ["strip", "viewer", "contact"].map(byId)));
export const isContactSheet = () => viewer.classList.contains("contact");

function thumbnail(photo, number) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button", tabIndex: -1, title: photo.key });
  button.dataset.photo = photo.key;
  button.setAttribute("aria-label", photo.key);
  const image = Object.assign(document.createElement("img"), { alt: "" });
  image.dataset.src = photo.address("thumb");
  button.append(image, Object.assign(document.createElement("span"), { textContent: number }));
  button.classList.toggle("named", photo.figure.classList.contains("named"));
  item.append(button);
  return item;
}

export function makeStrip(show, left) {
  strip.append(...photos.map((photo, at) => thumbnail(photo, at + 1)));
  const buttons = [...strip.querySelectorAll("button")];
  fetchInSight(strip, left);
  strip.addEventListener("click", (event) => {
    const at = buttons.indexOf(event.target.closest("button"));
    if (at >= 0) show(at);
  });
  strip.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target);
    const to = at + steps(event.key, buttons);
    if (at < 0 || !isContactSheet() || to === at || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    focus(buttons[Math.min(buttons.length - 1, Math.max(0, to))]);
  });
  return buttons;
}

// Arrow keys move by one and by a row of the grid, Home and End to its ends.
function steps(key, buttons) {
  const row = buttons.findIndex((button) => button.offsetTop > buttons[0].offsetTop);
  const columns = row < 0 ? buttons.length : row;
  return { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -buttons.length, End: buttons.length }[key] ?? 0;
}

function focus(button) {
  button.focus({ preventScroll: true });
  button.scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function toggleContactSheet(open, current) {
  viewer.classList.toggle("contact", open);
  contact.setAttribute("aria-pressed", open);
  if (open) focus(current);
  else if (strip.contains(document.activeElement)) contact.focus({ preventScroll: true });
  follow(current);
}

// Only the strip itself moves, not the page.
export function follow(button) {
  if (isContactSheet()) return button.scrollIntoView({ block: "nearest" });
  const item = button.parentElement;
  strip.scrollLeft = item.offsetLeft - (strip.clientWidth - item.offsetWidth) / 2;
}
