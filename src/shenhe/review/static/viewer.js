// The stage: one photo of the group at a time, with the objects over it, and the tools that look at it.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";
import { handle } from "./viewer-hand.js";
import { listObjects } from "./viewer-legend.js";
import { openPicture, photos } from "./viewer-photos.js";
import { draw, element, placeTags } from "./viewer-shapes.js";
import { follow, isContactSheet, makeStrip, toggleContactSheet } from "./viewer-strip.js";
import { View } from "./viewer-view.js";

export let stage = null; // of the page that is shown
onPage((left) => {
  stage = byId("viewer") && photos.length ? makeStage(left) : null;
  if (!stage) return;
  // After every module of the page has begun to listen for `photoshown`.
  document.addEventListener("pageready", () => {
    const linked = /^#photo-(\d+)$/.exec(location.hash);
    stage.show(linked ? linked[1] - 1 : 0);
  }, { signal: left });
});

function makeStage(left) {
  const [box, layer] = [byId("stage"), byId("layer")];
  const svg = element("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" });
  layer.append(svg);
  const view = new View(box, layer, refresh, left);
  const turns = new Map();
  const largest = Number(byId("viewer").dataset.largest);
  let shown = -1;
  let pixels = "small"; // the size of the picture that is on the stage
  const buttons = makeStrip((at) => {
    show(at);
    if (isContactSheet()) toggleContactSheet(false, buttons[shown]);
  }, left);

  function show(at) {
    const to = Math.min(photos.length - 1, Math.max(0, at));
    if (to === shown) return;
    const isFirst = shown < 0;
    shown = to;
    const photo = photos[shown];
    pixels = "";
    byId("broken").hidden = true;
    if (isFirst && !to) putFirst(layer.querySelector("img"));
    else put(buttons[shown].querySelector("img"), "thumb");
    load("large");
    for (const [index, other] of photos.entries()) other.figure.classList.toggle("on-stage", index === shown);
    for (const [index, button] of buttons.entries()) {
      button.tabIndex = index === shown ? 0 : -1;
      if (index === shown) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    follow(buttons[shown]);
    byId("shown").firstElementChild.textContent = photo.key;
    byId("shown").lastElementChild.textContent = `${shown + 1} / ${photos.length}`;
    byId("before").disabled = shown === 0;
    byId("after").disabled = shown === photos.length - 1;
    redraw();
  }

  // Puts a picture of the shown photo on the stage; one that has not been fetched leaves it empty.
  function put(image, size) {
    const place = layer.querySelector("img");
    const natural = [image.naturalWidth, image.naturalHeight];
    const isNew = pixels === "";
    layer.classList.toggle("empty", !natural[0]);
    pixels = natural[0] ? size : "";
    const next = image.closest("button") ? image.cloneNode() : image;
    next.alt = photos[shown].alt;
    next.draggable = false;
    if (place !== next) place.replaceWith(next);
    if (!natural[0]) return;
    if (isNew) view.begin(natural, turns.get(shown) ?? 0);
    else view.refine(natural);
  }

  // The picture of the first photo comes with the page.
  function putFirst(image) {
    const isWanted = () => !left.aborted && !shown && !pixels && image.naturalWidth;
    if (image.complete) isWanted() && put(image, "small");
    else image.addEventListener("load", () => isWanted() && put(image, "small"), { once: true });
  }

  async function load(size) {
    const at = shown;
    try {
      const image = await openPicture(photos[at], size);
      if (left.aborted || at !== shown || pixels === "full") return;
      put(image, size);
      if (size === "large" && photos[at + 1]) openPicture(photos[at + 1], "large").catch(() => {});
    } catch {
      if (left.aborted || at !== shown || size === "full") return;
      layer.classList.add("empty");
      byId("broken").hidden = false;
      byId("broken").querySelector("bdi").textContent = photos[at].name;
    }
  }

  // Whether the photo has more pixels than the picture on the stage, which is made no larger.
  const hasMore = () => pixels === "large" && Math.max(...view.natural) >= largest;
  let wanted;
  function refresh() {
    placeTags(svg, view);
    box.classList.toggle("zoomed", !view.fitted);
    layer.classList.toggle("pixels", view.scale * devicePixelRatio > 3);
    byId("actual").setAttribute("aria-pressed", !view.fitted && Math.abs(view.scale - view.actual) < 1e-6);
    clearTimeout(wanted);
    if (hasMore() && !view.fitted && view.scale > view.actual * 1.05) wanted = setTimeout(() => load("full"), 200);
  }
  left.addEventListener("abort", () => clearTimeout(wanted));

  async function toggleActual(x, y) {
    if (!view.fitted) return view.fit();
    const at = shown;
    if (hasMore()) await load("full");
    if (!left.aborted && at === shown) view.zoomTo(view.actual, x, y);
  }

  function redraw() {
    const { key } = photos[shown];
    draw(svg, key);
    placeTags(svg, view);
    listObjects(key);
    document.dispatchEvent(new CustomEvent("photoshown", { detail: { photo: key } }));
  }

  const middle = () => {
    const { left, top, width, height } = box.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  };
  const follows = (by) => (layer.style.translate = by ? `${by}px` : "");
  handle(box, view, { step: (by) => show(shown + by), twice: toggleActual, offset: follows });
  const does = {
    before: () => show(shown - 1),
    after: () => show(shown + 1),
    larger: () => view.zoomBy(1.5, ...middle()),
    smaller: () => view.zoomBy(1 / 1.5, ...middle()),
    actual: () => toggleActual(...middle()),
    turn: () => {
      view.turnRight();
      turns.set(shown, view.turn);
    },
    contact: () => toggleContactSheet(!isContactSheet(), buttons[shown]),
  };
  for (const [id, act] of Object.entries(does)) byId(id).addEventListener("click", act);
  return {
    svg,
    // The key of the photo that is shown.
    get photo() {
      return photos[Math.max(0, shown)].key;
    },
    // A point of the window in the 0-1000 frame of the upright photo.
    toPhoto: (clientX, clientY) => view.toPhoto(clientX, clientY),
    redraw,
    show,
    leaveContactSheet: () => isContactSheet() && toggleContactSheet(false, buttons[shown]),
  };
}
