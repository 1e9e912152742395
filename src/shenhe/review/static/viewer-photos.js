// The photos of a group: their addresses, and pictures that are fetched when they are looked at.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";

export let photos = [];
onPage(() => {
  const viewer = byId("viewer");
  const figures = viewer ? [...document.querySelectorAll("figure[data-tag]")] : [];
  photos = figures.map((figure, index) => ({
    key: figure.dataset.photo,
    figure,
    alt: [figure.dataset.photo, figure.querySelector(".line")?.textContent].filter(Boolean).join(": "),
    name: figure.querySelector(".name").textContent,
    address: (size) => `${viewer.dataset.address}/${index + 1}/${size}.jpg?of=${figure.dataset.tag}`,
  }));
});

const opened = new Map();
const KEPT = 6; // large pictures that stay decoded

// Opens a picture of a photo, decoded. Rejects where the photo cannot be opened.
export function openPicture(photo, size) {
  const address = photo.address(size);
  if (!opened.has(address)) {
    const image = Object.assign(new Image(), { src: address, alt: photo.alt, draggable: false });
    const ready = image.decode().then(() => image);
    opened.set(address, ready);
    ready.catch(() => opened.delete(address));
    if (opened.size > KEPT) opened.delete(opened.keys().next().value);
  }
  return opened.get(address);
}

// Thumbnails are fetched as they come into sight, few at a time; one that leaves again gives its turn up.
const AT_ONCE = 4;
export function fetchInSight(strip, left) {
  const waiting = new Set();
  let running = 0;
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) isIntersecting ? waiting.add(target) : waiting.delete(target);
      next();
    },
    { root: strip, rootMargin: "100px" },
  );
  function next() {
    for (const image of waiting) {
      if (running >= AT_ONCE) return;
      waiting.delete(image);
      watch.unobserve(image);
      running += 1;
      const done = () => {
        running -= 1;
        next();
      };
      image.addEventListener("load", done, { once: true });
      image.addEventListener("error", () => (image.closest("button").classList.add("unreadable"), done()), { once: true });
      image.src = image.dataset.src;
    }
  }
  for (const image of strip.querySelectorAll("img")) watch.observe(image);
  left.addEventListener("abort", () => {
    watch.disconnect();
    waiting.clear();
  });
}
