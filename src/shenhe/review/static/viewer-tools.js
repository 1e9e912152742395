// Tools beside the stage: light, the objects all at once, the photo over the whole page.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";
import { stage } from "./viewer.js";

let viewer;
const press = (id, on) => byId(id).setAttribute("aria-pressed", on);

// Light stays as it is from photo to photo: those of a group are often all too dark.
const STEP = 1.25;
const CONTRAST = 1.6;
let light = 0; // steps
let hasContrast = false;
function shine() {
  const filter = [light && `brightness(${STEP ** light})`, hasContrast && `contrast(${CONTRAST})`].filter(Boolean).join(" ");
  byId("layer").style.setProperty("--light", filter || "none");
  press("contrast", hasContrast);
}

// Whether objects are shown is kept in this browser, from group to group.
const KEPT = "shenhe overlays";
function kept() {
  try {
    return localStorage.getItem(KEPT) !== "off";
  } catch {
    return true; // no storage
  }
}
function showObjects(on) {
  viewer.classList.toggle("without-objects", !on);
  press("overlays", on);
}
function keepObjects(on) {
  showObjects(on);
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {} // no storage: as long as this page
}

function enlarge(on) {
  document.documentElement.classList.toggle("enlarged", on);
  press("enlarge", on);
  lookForLeaving();
}
const isEnlarged = () => document.documentElement.classList.contains("enlarged");
const lookForLeaving = () => (byId("leave").hidden = !isEnlarged() && !viewer.classList.contains("contact"));

onPage((left) => {
  viewer = byId("viewer");
  [light, hasContrast] = [0, false];
  document.documentElement.classList.remove("enlarged");
  if (!stage) return;
  const does = {
    darker: () => shine((light = Math.max(-6, light - 1))),
    brighter: () => shine((light = Math.min(8, light + 1))),
    contrast: () => shine((hasContrast = !hasContrast)),
    enlarge: () => enlarge(!isEnlarged()),
    leave: () => stage.leaveContactSheet() || enlarge(false),
    "more-tools": () => byId("more-tools").setAttribute("aria-expanded", viewer.classList.toggle("with-tools")),
  };
  for (const [id, act] of Object.entries(does)) byId(id).addEventListener("click", act);
  new MutationObserver(lookForLeaving).observe(viewer, { attributeFilter: ["class"] });
  if (byId("overlays")) {
    showObjects(kept());
    byId("overlays").addEventListener("click", () => keepObjects(viewer.classList.contains("without-objects")));
  }
  // The stage takes the room that the decision leaves: above a bar, or on a phone that lies across beside a rail.
  const bar = document.querySelector(".decide") ?? document.querySelector(".moves");
  const measure = () => {
    const { left, top, width } = bar.getBoundingClientRect();
    const isRail = width < innerWidth / 2;
    const isFixed = width > 0 && getComputedStyle(bar).position === "fixed";
    const above = viewer.getBoundingClientRect().top + scrollY;
    const isInFlow = getComputedStyle(viewer).position !== "fixed";
    // All is read before anything is set: each reading after a setting lays the page out once more.
    const style = document.documentElement.style;
    style.setProperty("--bar", `${isFixed && !isRail ? innerHeight - top : 0}px`);
    style.setProperty("--rail", `${isFixed && isRail ? innerWidth - left : 0}px`);
    if (isInFlow) style.setProperty("--above", `${Math.min(260, above)}px`);
  };
  const watch = new ResizeObserver(measure);
  watch.observe(bar);
  left.addEventListener("abort", () => watch.disconnect());
  addEventListener("resize", measure, { signal: left });
  measure();
});
