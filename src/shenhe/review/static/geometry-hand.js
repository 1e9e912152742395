// Mouse, pen and fingers while a caption is corrected. What is not an edit is left to the stage: zoom, pan, pinch.
import { drawHandles } from "./geometry-handles.js";
import { area, boxBetween, canGrow, contains, corners, distance, distanceToEdge, edges, insertCorner, middle, moveBy, moveCorner, MOST_CORNERS, toPoint } from "./geometry-math.js";
import { add, all, choose, chosen, commit, note, preview, quads, refresh, replace, state, words } from "./geometry-state.js";
import { stage } from "./viewer.js";

const REACH = { mouse: 10, pen: 16, touch: 26 }; // pixels from a handle that are still on it
const STILL = 4; // pixels that a pointer may move in a click
const TWICE = 400; // milliseconds between two clicks at one place
let drag = null; // what the pointer does: {id, type, from, before, move}
const others = new Set(); // pointers that the stage has
let clicked = { at: -Infinity, place: [0, 0] };

// From the frame of the photo to the window: the inverse of stage.toPhoto, whatever the zoom and the turn.
function projection() {
  const [x0, y0] = stage.toPhoto(0, 0);
  const [[x1, y1], [x2, y2]] = [stage.toPhoto(1, 0), stage.toPhoto(0, 1)];
  const [a, b, c, d] = [x1 - x0, x2 - x0, y1 - y0, y2 - y0];
  const size = a * d - b * c;
  return ([x, y]) => [(d * (x - x0) - b * (y - y0)) / size, (a * (y - y0) - c * (x - x0)) / size];
}

// What is under a pointer: a corner of the chosen object, the middle of one of its sides, or an object.
function hit(event) {
  const [project, reach, place] = [projection(), REACH[event.pointerType] ?? 10, [event.clientX, event.clientY]];
  const object = chosen();
  if (object) {
    const near = nearest(corners(object).map(project), place);
    if (near.distance <= reach) return { object, corner: near.at };
    const sides = canGrow(object) ? nearest(edges(object).map((edge) => project(middle(edge))), place) : near;
    if (canGrow(object) && sides.distance <= reach) return { object, edge: sides.at };
  }
  const under = all().filter((other) => {
    const shape = corners(other).map(project);
    const isOn = edges({ kind: other.kind === "line" ? "line" : "poly", points: shape }).some((edge) => distanceToEdge(place, edge) <= reach);
    return isOn || (other.kind !== "line" && contains(shape, place));
  });
  under.sort((one, other) => (other.key === state.key) - (one.key === state.key) || size(one) - size(other));
  return under.length ? { object: under[0] } : null;
}
const size = (object) => (object.kind === "line" ? 0 : area(corners(object)));
const nearest = (places, place) =>
  places.map((one, at) => ({ at, distance: distance(one, place) })).reduce((best, one) => (one.distance < best.distance ? one : best));

function beginDrag(event, found) {
  const { object } = found;
  const wasChosen = object.key === state.key;
  const from = stage.toPhoto(event.clientX, event.clientY);
  drag = { id: event.pointerId, type: event.pointerType, place: [event.clientX, event.clientY], before: all(), moved: false };
  if (found.edge !== undefined) {
    const grown = insertCorner(object, found.edge, from);
    drag.move = (to) => moveCorner(grown, found.edge + 1, to);
    drag.corner = found.edge + 1;
  } else if (found.corner !== undefined) {
    const offset = corners(object)[found.corner].map((place, axis) => place - from[axis]);
    drag.move = (to) => moveCorner(object, found.corner, [to[0] + offset[0], to[1] + offset[1]]);
    choose(object.key, found.corner);
  } else {
    // A finger that pushes the photo moves no object that it has not chosen before.
    if (wasChosen || event.pointerType !== "touch") drag.move = (to) => moveBy(object, to[0] - from[0], to[1] - from[1]);
    choose(object.key);
  }
}

function drawPoint(event) {
  const place = [event.clientX, event.clientY];
  const point = toPoint(stage.toPhoto(...place));
  const again = event.timeStamp - clicked.at < TWICE && distance(place, clicked.place) < 2 * STILL;
  clicked = { at: event.timeStamp, place };
  const first = state.pending[0] && projection()(state.pending[0]);
  if (again || (state.tool === "poly" && state.pending.length > 2 && distance(place, first) <= (REACH[event.pointerType] ?? 10))) return finish();
  const last = state.pending.at(-1);
  if (last && last[0] === point[0] && last[1] === point[1]) return;
  state.pending.push(point);
  if (state.pending.length >= MOST_CORNERS || (quads && state.tool === "poly" && state.pending.length === 4)) return finish();
  refresh();
}

// Ends a polygon or a line; one with too few points goes on.
export function finish() {
  const [kind, points] = [state.tool, state.pending];
  if (points.length < { poly: 3, line: 2 }[kind]) return note(words[`edit_few_${kind}`]);
  if (quads && kind === "poly" && points.length !== 4) return note(words.edit_quads);
  add(kind, points);
}

function down(event) {
  if (!state.editing || event.button || event.target.closest("button")) return;
  if (event.isPrimary) others.clear();
  if (drag) return cancelDrag(); // a second finger
  if (others.size) return others.add(event.pointerId);
  const found = state.tool === "select" ? hit(event) : null;
  if (state.tool === "select" && !found) {
    others.add(event.pointerId);
    return state.key && choose(null);
  }
  event.preventDefault(); // the stage leaves it alone
  document.activeElement?.blur?.();
  event.currentTarget.setPointerCapture(event.pointerId);
  if (found) return beginDrag(event, found);
  if (state.tool !== "bbox_2d") return drawPoint(event);
  const from = toPoint(stage.toPhoto(event.clientX, event.clientY));
  drag = { id: event.pointerId, place: [event.clientX, event.clientY], box: from, before: all(), moved: false };
}
function move(event) {
  if (!state.editing) return;
  const to = stage.toPhoto(event.clientX, event.clientY);
  if (!drag) {
    if (state.pending.length) drawHandles(toPoint(to));
    const found = state.tool === "select" && event.pointerType === "mouse" && !event.buttons ? hit(event) : null;
    event.currentTarget.dataset.hit = !found ? "" : found.corner !== undefined ? "corner" : found.edge !== undefined ? "edge" : "object";
    return;
  }
  if (event.pointerId !== drag.id) return;
  event.preventDefault();
  drag.moved ||= distance([event.clientX, event.clientY], drag.place) > STILL;
  if (!drag.moved) return;
  if (drag.box) {
    state.pending = boxBetween(drag.box, toPoint(to));
    drawHandles();
  } else if (drag.move) {
    if (drag.corner !== undefined) state.corner = drag.corner;
    drag.after = drag.move(to);
    preview(drag.after);
  }
}
function up(event) {
  if (drag?.id !== event.pointerId) return others.delete(event.pointerId);
  const done = drag;
  if (event.type === "pointercancel") return cancelDrag();
  drag = null;
  if (done.box) {
    const points = state.pending;
    if (done.moved && points.length) add("bbox_2d", points);
    else useless();
  } else if (done.after) {
    restoreBefore(done);
    replace(done.after);
  }
}
const useless = () => Object.assign(state, { pending: [] }) && note(words.edit_hint_bbox_2d);

// The step that is committed leads from what was there before the drag.
function restoreBefore({ before }) {
  if (before.length) preview(before.find((object) => object.key === state.key));
}
export function cancelDrag() {
  if (!drag) return false;
  const done = drag;
  drag = null;
  if (done.box) state.pending = [];
  else if (done.after) restoreBefore(done);
  state.corner = null;
  refresh();
  return true;
}

// A second click on a side puts a corner there; on a corner it takes it away, as the key does.
function twice(event) {
  if (!state.editing || state.tool !== "select" || !chosen() || !canGrow(chosen())) return;
  const [project, place] = [projection(), [event.clientX, event.clientY]];
  const object = chosen();
  if (nearest(corners(object).map(project), place).distance <= REACH.mouse) return;
  const sides = edges(object).map((edge) => distanceToEdge(place, edge.map(project)));
  const edge = sides.indexOf(Math.min(...sides));
  if (sides[edge] > REACH.mouse) return;
  state.corner = edge + 1;
  replace(insertCorner(object, edge, stage.toPhoto(...place)));
}

export function handleEdits(box) {
  drag = null;
  others.clear();
  const early = { capture: true };
  box.addEventListener("pointerdown", down, early);
  box.addEventListener("pointermove", move, early);
  box.addEventListener("pointerup", up, early);
  box.addEventListener("pointercancel", up, early);
  box.addEventListener("dblclick", twice, early);
}
