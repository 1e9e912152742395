// What a person makes of the captions: the objects of each photo, every step of it, and the field that the form sends.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";
import { objects } from "./viewer-shapes.js";
import { stage } from "./viewer.js";

export let choices, remark, quads, most;
export let model; // what the model named: what is shown, but for photos whose caption was corrected
export let words;
export let unknown; // descs, with what was probably meant
let field, named;
const NUDGE = 800; // milliseconds: steps of one kind that follow each other so soon are one

const BEGINNING = {
  editing: false,
  tool: "select",
  pending: [], // points of a shape that is being drawn
  key: null, // of the chosen object
  corner: null, // of the chosen object
  fresh: false, // whether the chosen object was just drawn: its desc is asked for
  note: "",
};
export const state = { ...BEGINNING };
const steps = [];
const undone = [];

onPage(() => {
  const read = (id) => JSON.parse(byId(id)?.textContent || "{}");
  const data = read("editor-data");
  ({ choices = [], remark = "", quads = false, most = 0 } = data);
  model = { ...objects, ...data.model };
  words = read("editor-words");
  unknown = new Map(Object.entries(data.unknown ?? {}));
  field = document.querySelector("#decide [name=shapes]");
  named = [...document.querySelectorAll("figure[data-photo]")].map((figure) => figure.dataset.photo);
  Object.assign(state, BEGINNING, { pending: [] });
  steps.length = undone.length = 0;
});

export const all = (photo = stage.photo) => objects[photo] ?? [];
export const chosen = () => all().find((object) => object.key === state.key);
export const canUndo = () => steps.length > 0;
export const canRedo = () => undone.length > 0;
export const refresh = () => document.dispatchEvent(new Event("geometry"));

export function choose(key, corner = null) {
  Object.assign(state, { key, corner, note: "" });
  refresh();
}
export function useTool(tool) {
  Object.assign(state, { tool, pending: [], note: "" });
  if (tool !== "select") Object.assign(state, { key: null, corner: null });
  refresh();
}
export function note(text) {
  state.note = text;
  refresh();
}

const written = ({ key, kind, points, desc, kept = false }) => ({ key, kind, points, desc, kept });
const bare = (list) => JSON.stringify((list ?? []).map((object) => ({ ...written(object), kept: false })));
export const isCorrected = (photo = stage.photo) => bare(objects[photo]) !== bare(model[photo]);

function write() {
  const corrected = Object.keys({ ...model, ...objects }).filter(isCorrected);
  corrected.sort((one, other) => one.slice(3) - other.slice(3));
  const content = Object.fromEntries(corrected.map((photo) => [photo, objects[photo].map(written)]));
  field.value = corrected.length ? JSON.stringify(content) : "";
  field.dispatchEvent(new Event("input", { bubbles: true })); // the draft
}
function put(photo, list) {
  if (list) objects[photo] = list;
  else delete objects[photo];
}

// Makes one step that can be undone; steps with the same tag that follow each other are one.
export function commit(list, tag = null, photo = stage.photo) {
  const last = steps.at(-1);
  const at = performance.now();
  const goesOn = tag && last?.tag === tag && last.photo === photo && (tag.startsWith("desc") || at - last.at < NUDGE);
  if (goesOn) Object.assign(last, { after: list, at });
  else steps.push({ photo, before: objects[photo], after: list, tag, at });
  undone.length = 0;
  put(photo, list);
  write();
  stage.redraw();
}
export const replace = (object, tag = null) => commit(all().map((other) => (other.key === object.key ? object : other)), tag);
export function remove(key) {
  const at = all().findIndex((object) => object.key === key);
  state.key = all()[at + 1]?.key ?? all()[at - 1]?.key ?? null;
  state.corner = null;
  commit(all().filter((object) => object.key !== key));
}
export function add(kind, points) {
  if (all().length >= most) return note(words.edit_full);
  const numbers = all().map((object) => (object.key.startsWith("new_") ? Number(object.key.slice(4)) : 0));
  const key = `new_${Math.max(0, ...numbers) + 1}`;
  Object.assign(state, { key, corner: null, tool: "select", pending: [], fresh: true, note: "" });
  commit([...all(), { key, kind, points, desc: "" }]);
}
export const restore = () => {
  Object.assign(state, { key: null, corner: null });
  commit(model[stage.photo]);
};

// Shows a step while it is made, once a frame; it counts once it is committed.
let frame = 0;
export function preview(object) {
  put(stage.photo, all().map((other) => (other.key === object.key ? object : other)));
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    stage.redraw();
  });
}

function go(from, to, side) {
  const step = from.pop();
  if (!step) return;
  to.push(step);
  step.tag = null;
  Object.assign(state, { pending: [], corner: null });
  put(step.photo, step[side]);
  write();
  if (step.photo !== stage.photo) showPhoto(step.photo);
  else stage.redraw();
}
export const showPhoto = (photo) => stage.show(named.indexOf(photo));
export const undo = () => go(steps, undone, "before");
export const redo = () => go(undone, steps, "after");

// What the form holds: what is stored, a draft, or what the server has sent back.
const KINDS = ["bbox_2d", "poly", "line"];
const isPoint = (point) => Array.isArray(point) && point.length === 2 && point.every((number) => Number.isInteger(number) && number >= 0 && number <= 1000);
const isObject = (object) =>
  /^(object|new)_\d+$/.test(object?.key) && KINDS.includes(object.kind) && typeof object.desc === "string" &&
  Array.isArray(object.points) && object.points.length >= 2 && object.points.every(isPoint) && (object.kind !== "bbox_2d" || object.points.length === 2);
export function readField() {
  try {
    const content = JSON.parse(field.value || "{}");
    for (const photo of named) put(photo, content[photo] ?? model[photo]);
    const lists = Object.entries(content);
    if (!lists.every(([photo, list]) => named.includes(photo) && list.every(isObject))) throw new Error(field.value);
  } catch {
    for (const photo of named) put(photo, model[photo]);
    state.note = words.edit_unreadable;
  }
}
