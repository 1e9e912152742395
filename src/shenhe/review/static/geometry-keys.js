// Keys while a caption is corrected: none of them decides, and none leads to another group.
import { byId, TYPED } from "./dialogs.js";
import { cancelDrag, finish } from "./geometry-hand.js";
import { canShrink, corners, moveBy, moveCorner, removeCorner } from "./geometry-math.js";
import { add, choose, chosen, note, redo, refresh, remove, replace, state, undo, useTool, words } from "./geometry-state.js";
import { toggle } from "./geometry-panel.js";

const HELD_BACK = [..."1234567890aunbqejkcxg/"];
const TOOLS = { v: "select", b: "bbox_2d", p: "poly", l: "line" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// What Enter puts in the middle of the photo, for whoever draws without a pointer.
const MIDDLE = { bbox_2d: [[400, 400], [600, 600]], poly: [[400, 400], [600, 400], [600, 600], [400, 600]], line: [[400, 500], [600, 500]] };

function nudge([x, y], far) {
  const [object, by] = [chosen(), far ? 10 : 1];
  const tag = `nudge ${object.key} ${state.corner}`;
  if (state.corner === null) return replace(moveBy(object, x * by, y * by), tag);
  const [at, moved] = [corners(object)[state.corner], state.corner];
  replace(moveCorner(object, moved, [at[0] + x * by, at[1] + y * by]), tag);
}
function stepCorner(by) {
  const count = corners(chosen()).length;
  const from = state.corner ?? (by > 0 ? -1 : 0);
  choose(state.key, (from + by + count) % count);
}
function takeAway() {
  const object = chosen();
  if (state.corner === null || object.kind === "bbox_2d") return remove(object.key);
  if (!canShrink(object)) return note(words.edit_least);
  const at = state.corner;
  state.corner = null;
  replace(removeCorner(object, at));
}
function escape() {
  if (cancelDrag()) return;
  if (state.pending.length || state.tool !== "select") return useTool("select");
  if (state.corner !== null) return choose(state.key);
  if (state.key) return choose(null);
  toggle(false);
}

// Gives whether the key was one of these.
function does(event, focused) {
  const { key, shiftKey } = event;
  const small = key.toLowerCase();
  if (key === "Escape") return escape(), true;
  if (key === "Enter" && state.pending.length) return finish(), true;
  if (key === "Backspace" && state.pending.length) return state.pending.pop(), refresh(), true;
  if ((key === "Delete" || key === "Backspace") && chosen()) return takeAway(), true;
  if (ARROWS[key] && chosen()) return nudge(ARROWS[key], shiftKey), true;
  if ((key === "," || key === ".") && chosen()) return stepCorner(key === "." ? 1 : -1), true;
  if (focused.closest("button, a, summary") && (key === "Enter" || key === " ")) return false;
  if (key === "Enter" && MIDDLE[state.tool]) return add(state.tool, MIDDLE[state.tool]), true;
  if (TOOLS[small]) return useTool(TOOLS[small]), true;
  if (HELD_BACK.includes(small)) return note(words.edit_held_back), true;
  return false;
}

export function listenToKeys(left) {
  addEventListener("keydown", (event) => {
    if (!state.editing || event.isComposing || event.keyCode === 229 || document.querySelector("dialog[open]")) return;
    const focused = event.target instanceof Element ? event.target : document.body;
    const isText = focused.matches("textarea, input:not([type=checkbox])");
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      const back = { z: event.shiftKey ? redo : undo, y: redo }[event.key.toLowerCase()];
      if (!back || isText) return;
      back();
    } else if (event.altKey || focused.matches(TYPED)) return;
    else if (!does(event, focused)) return;
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true, signal: left });
  // A decision would leave a shape that is not finished out.
  document.addEventListener("click", (event) => {
    if (!state.pending.length || !event.target.closest("[name=choice]")) return;
    event.preventDefault();
    event.stopPropagation();
    note(words.edit_unfinished);
    byId("edit-note").scrollIntoView({ block: "nearest" });
  }, { capture: true, signal: left });
}
