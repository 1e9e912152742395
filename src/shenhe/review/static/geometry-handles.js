// What is drawn over the photo while its caption is corrected: handles, the shape that is being drawn, the model's shapes.
import { crosses, canGrow, corners, edges, middle } from "./geometry-math.js";
import { all, chosen, isCorrected, model, refresh, state } from "./geometry-state.js";
import { onPage } from "./page.js";
import { element } from "./viewer-shapes.js";
import { stage } from "./viewer.js";

let compares = false;
onPage(() => (compares = false));
export const isComparing = () => compares;
export function compare(on) {
  compares = on;
  refresh();
}
// A dot of the same size at any zoom: a line without length, whose width is that of the screen.
const dot = ([x, y], name) => element("path", { d: `M${x} ${y}h.01`, class: name });
const outline = ({ kind, points }, name) =>
  element(kind === "line" ? "polyline" : "polygon", { points: corners({ kind, points }).map((point) => point.join(",")).join(" "), class: name });

function handles(object) {
  const parts = corners(object).map((corner, at) => [dot(corner, "handle-rim"), dot(corner, at === state.corner ? "handle chosen" : "handle")]);
  const between = canGrow(object) ? edges(object).map((edge) => dot(middle(edge), "handle middle")) : [];
  return [outline(object, "chosen-outline"), ...between, ...parts.flat()];
}
function pendingShape(pointer) {
  const points = pointer ? [...state.pending, pointer] : state.pending;
  const kind = state.tool === "bbox_2d" ? "bbox_2d" : "line";
  const dots = state.tool === "bbox_2d" ? [] : state.pending.map((point) => dot(point, "handle"));
  return points.length > 1 ? [outline({ kind, points }, "pending"), ...dots] : dots;
}

export function drawHandles(pointer = null) {
  stage.svg.querySelector(".editing-layer")?.remove();
  for (const group of stage.svg.querySelectorAll("g[data-object]")) {
    const object = all().find((one) => one.key === group.dataset.object);
    group.classList.toggle("wrong", state.editing && Boolean(object) && crosses(object));
  }
  const parts = [];
  if (compares && isCorrected()) parts.push(...(model[stage.photo] ?? []).map((object) => outline(object, "of-model")));
  if (state.editing && chosen()) parts.push(...handles(chosen()));
  if (state.editing && state.pending.length) parts.push(...pendingShape(pointer));
  if (parts.length) stage.svg.append(element("g", { class: "editing-layer" }, ...parts));
}
