// The tools of correcting a caption, and the list of the objects of the shown photo.
import { byId } from "./dialogs.js";
import { focusDesc, showDesc } from "./geometry-desc.js";
import { cancelDrag, finish } from "./geometry-hand.js";
import { compare, drawHandles, isComparing } from "./geometry-handles.js";
import { crosses } from "./geometry-math.js";
import { all, canRedo, canUndo, choose, isCorrected, redo, remove, restore, state, undo, useTool, words } from "./geometry-state.js";
import { check } from "./geometry-vocabulary.js";
import { colourOf } from "./viewer-shapes.js";
import { stage } from "./viewer.js";

let list;
function row(object, number) {
  const item = document.createElement("li");
  Object.assign(item.dataset, { photo: stage.photo, object: object.key });
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.setAttribute("aria-pressed", object.key === state.key);
  const swatch = Object.assign(document.createElement("span"), { className: "swatch", textContent: number });
  swatch.style.background = colourOf(object.desc);
  const isWrong = !object.desc.trim() || crosses(object) || (check(object.desc).known === false && !object.kept);
  const sign = Object.assign(document.createElement("span"), { className: "sign", textContent: "⚠", title: words.edit_look });
  sign.setAttribute("role", "img");
  sign.setAttribute("aria-label", words.edit_look);
  button.append(swatch, Object.assign(document.createElement("bdi"), { textContent: object.desc || words.edit_no_desc }), ...(isWrong ? [sign] : []));
  button.addEventListener("click", () => choose(object.key === state.key ? null : object.key));
  item.append(button);
  return item;
}
function listObjects() {
  const held = list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.object : null;
  list.replaceChildren(...all().map((object, at) => row(object, at + 1)));
  const again = held && [...list.children].find((item) => item.dataset.object === (state.key ?? held));
  if (held) (again?.firstElementChild ?? byId("edit-tools").querySelector("button")).focus({ preventScroll: true });
}

export function show() {
  if (!state.editing) return;
  listObjects();
  showDesc();
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === state.tool);
  byId("edit-none").hidden = all().length > 0;
  byId("edit-delete").disabled = !state.key;
  byId("edit-undo").disabled = !canUndo();
  byId("edit-redo").disabled = !canRedo();
  byId("edit-compare").setAttribute("aria-pressed", isComparing());
  byId("edit-restore").disabled = byId("edit-compare").disabled = !isCorrected();
  byId("edit-finish").hidden = byId("edit-cancel").hidden = !state.pending.length || state.tool === "bbox_2d";
  byId("edit-note").textContent = state.note || words[`edit_hint_${state.tool}`];
  if (state.fresh) focusDesc();
  state.fresh = false;
}

export function toggle(on) {
  cancelDrag();
  Object.assign(state, { editing: on, tool: "select", pending: [], key: null, corner: null, note: on ? state.note : "" });
  document.documentElement.classList.toggle("editing", on);
  byId("editor").hidden = byId("edit-tools").hidden = !on;
  byId("edit").setAttribute("aria-pressed", on);
  if (on) stage.leaveContactSheet();
  drawHandles();
  show();
}

export function listen() {
  list = byId("edit-objects");
  document.querySelector(".tool-row").append(byId("edit"));
  byId("viewer").insertBefore(byId("edit-tools"), byId("strip"));
  byId("edit").hidden = false;
  const does = {
    edit: () => toggle(!state.editing),
    "edit-done": () => toggle(false),
    "edit-delete": () => remove(state.key),
    "edit-undo": undo,
    "edit-redo": redo,
    "edit-restore": restore,
    "edit-finish": finish,
    "edit-cancel": () => useTool("select"),
    "edit-compare": () => compare(!isComparing()),
  };
  for (const [id, act] of Object.entries(does)) byId(id).addEventListener("click", act);
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => useTool(button.dataset.tool));
}
