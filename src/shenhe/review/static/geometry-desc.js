// The desc of the chosen object: choices level by level, or free text, which is checked against the vocabulary.
import { byId } from "./dialogs.js";
import { become, canBe, crosses } from "./geometry-math.js";
import { choices, chosen, quads, replace, words } from "./geometry-state.js";
import { asRemark, check, isOffered, levelsOf, putTogether, remarkText, takeApart } from "./geometry-vocabulary.js";
import { onPage } from "./page.js";

let panel, free;
let laidOut = ""; // the object whose choices stand on the page
let typed = 0; // typing in one field without a pause is one step

const made = (name, fields, ...children) => {
  const part = Object.assign(document.createElement(name), fields);
  part.append(...children);
  return part;
};
const isTyping = () => panel.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox])");
function say(desc, tag = null) {
  const object = chosen();
  if (object && object.desc !== desc) replace({ ...object, desc, kept: false }, tag && `desc ${object.key} ${typed}`);
}
const change = (parts, fields, tag) => say(putTogether({ ...parts, ...fields }), tag);

function list(name, options, value, act) {
  const select = made("select", {}, ...options.map(([of, text]) => made("option", { value: of, textContent: text })));
  select.value = value;
  select.dataset.level = name;
  select.addEventListener("change", () => act(select.value));
  return made("label", {}, made("bdi", { textContent: name }), select);
}
function text(name, value, act, values = []) {
  const input = made("input", { value, autocomplete: "off", dir: "auto", maxLength: 1000 });
  input.dataset.level = name;
  const id = `edit-values-${name}`;
  if (values.length) input.setAttribute("list", id);
  input.addEventListener("input", () => act(input.value));
  return made("label", {}, made("bdi", { textContent: name }), input, ...(values.length ? [made("datalist", { id }, ...values.map((one) => made("option", { value: one })))] : []));
}
function several(name, values, now, act) {
  const boxes = values.map((value) => {
    const box = made("input", { type: "checkbox", checked: now.includes(value) });
    box.dataset.level = `${name} ${value}`;
    box.addEventListener("change", () => act(box.checked ? [...now, value].sort((a, b) => values.indexOf(a) - values.indexOf(b)) : now.filter((one) => one !== value)));
    return made("label", { className: "check" }, box, made("bdi", { textContent: value }));
  });
  return made("fieldset", {}, made("legend", {}, made("bdi", { textContent: name })), ...boxes);
}

function fields(object) {
  const parts = takeApart(object.desc);
  const usual = (choice) => (choice.kinds.includes(object.kind) ? 0 : 1);
  const categories = [...choices].sort((one, other) => usual(one) - usual(other)).map((choice) => [choice.category, choice.category]);
  const begin = (category) => change({ values: [], remark: parts.remark }, { category });
  const levels = levelsOf(parts.category).flatMap((level, at) => {
    if (!isOffered(level, parts.values.slice(0, at))) return [];
    const act = (value, tag) => change(parts, { values: parts.values.with(at, [value].flat().filter(Boolean)) }, tag);
    if (level.text) return [text(level.name, parts.values[at][0] ?? "", (value) => act(value.trim(), true), level.values)];
    if (level.several) return [several(level.name, level.values, parts.values[at], act)];
    return [list(level.name, [["", "—"], ...level.values.map((value) => [value, value])], parts.values[at][0] ?? "", act)];
  });
  const remark = (value) => change(takeApart(chosen().desc), { remark: asRemark(value, parts.remark) }, true);
  return [
    list(words.edit_category, [["", "—"], ...categories], parts.category, begin),
    ...levels,
    ...(parts.category ? [text(words.edit_remark, remarkText(parts.remark), remark)] : []),
  ];
}

function warn(object) {
  const { known, meant } = check(object.desc);
  byId("edit-missing").hidden = Boolean(object.desc.trim());
  byId("edit-crossing").hidden = !crosses(object);
  byId("edit-unknown").hidden = known !== false;
  byId("edit-meant").hidden = !meant;
  byId("edit-meant").querySelector("bdi").textContent = meant ?? "";
  byId("edit-keep").checked = Boolean(object.kept);
}

export function showDesc() {
  const object = chosen();
  panel.hidden = !object;
  if (!object) return;
  if (document.activeElement !== free) free.value = object.desc;
  for (const option of byId("edit-kind").options) {
    option.hidden = option.disabled = option.value !== object.kind && (!canBe(object, option.value) || (quads && option.value === "poly" && object.kind !== "bbox_2d"));
  }
  byId("edit-kind").value = object.kind;
  warn(object);
  const made = JSON.stringify([object.key, object.kind, object.desc]);
  if (isTyping() || made === laidOut) return;
  laidOut = made;
  const level = document.activeElement?.dataset?.level;
  const box = byId("edit-choices");
  box.replaceChildren(...(choices.length ? fields(object) : []));
  if (level) box.querySelector(`[data-level="${CSS.escape(level)}"]`)?.focus();
}
export const focusDesc = () => (panel.querySelector("select[data-level]") ?? free).focus({ preventScroll: true });

onPage((left) => {
  [panel, free, laidOut] = [byId("edit-desc"), byId("edit-free"), ""];
  if (!panel) return;
  panel.addEventListener("focusin", () => (typed += 1));
  panel.addEventListener("focusout", () => setTimeout(() => left.aborted || showDesc()));
  free.addEventListener("input", () => say(free.value, true));
  byId("edit-meant").addEventListener("click", () => say(check(chosen().desc).meant));
  byId("edit-keep").addEventListener("change", (event) => replace({ ...chosen(), kept: event.target.checked }));
  byId("edit-kind").addEventListener("change", (event) => replace(become(chosen(), event.target.value)));
});
