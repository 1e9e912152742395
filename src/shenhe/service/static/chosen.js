// The groups that were chosen and are not sent yet: one in the fields of the form, several in a list of their own.
import { groupFiles } from "./folders.js";
import { element, fill } from "./words.js";

const form = document.getElementById("hand-in");
const list = document.getElementById("chosen");
const note = document.getElementById("passed-over");
const { mission, group_id: id } = form?.elements ?? {};
let groups = [];
let suggested = "";

function names(group) {
  const some = group.files.slice(0, 3).map((file) => file.name);
  return some.join("、") + (group.files.length > some.length ? " …" : "");
}
function row(group) {
  const away = element("button", { type: "button", className: "plain", textContent: fill("remove") });
  away.onclick = () => {
    groups = groups.filter((other) => other !== group);
    show();
  };
  const line = element("li", {});
  if (groups.length > 1) {
    const field = element("input", { value: group.id, required: true, maxLength: 200, dir: "auto" });
    field.setAttribute("aria-label", id.labels[0].textContent);
    field.oninput = () => {
      group.id = field.value.trim();
      check();
    };
    group.field = field;
    line.append(field, element("bdi", { className: "soft", textContent: group.mission }));
  }
  line.append(element("span", { textContent: fill("photos", { count: group.files.length }) }));
  line.append(element("bdi", { className: "soft", textContent: names(group) }), away);
  return line;
}
// Two folders of one id would be two versions of one group, of which only the later counts.
function check() {
  const used = new Map();
  for (const group of groups) {
    const key = `${group.mission || mission.value}\n${group.id}`;
    group.field?.setCustomValidity(used.has(key) ? fill("twice") : "");
    used.set(key, group);
  }
}
function show() {
  const isOne = groups.length < 2;
  document.getElementById("one-group").hidden = !isOne;
  id.disabled = !isOne;
  mission.required = groups.length === 0 || groups.some((group) => !group.mission) || isOne;
  list.hidden = groups.length === 0;
  list.replaceChildren(...groups.map(row));
  if (isOne && groups.length) suggest(groups[0]);
  check();
}
function suggest(group) {
  if (group.id && (!id.value || id.value === suggested)) id.value = suggested = group.id;
  if (group.mission) mission.value = group.mission;
}
// Photos without a folder join those that are there: a phone gives them one by one.
export function add(entries) {
  const found = groupFiles(entries, [...mission.options].map((option) => option.value).filter(Boolean));
  note.hidden = found.passedOver === 0;
  note.textContent = fill("passed_over", { count: found.passedOver });
  const isLoose = found.groups.length === 1 && !found.groups[0].id && groups.length === 1;
  if (isLoose) groups[0].files = merge(groups[0].files, found.groups[0].files);
  else if (entries.every(({ folders }) => folders.length === 0) && groups.length < 2) groups = found.groups;
  else groups = [...groups, ...found.groups];
  show();
}
function merge(files, more) {
  const key = (file) => `${file.name}\n${file.size}\n${file.lastModified}`;
  const there = new Set(files.map(key));
  return [...files, ...more.filter((file) => !there.has(key(file)))];
}
// Gives what is to be sent, or null where something is missing, which the form then tells.
export function take() {
  const missing = document.querySelector("#ways button:not([hidden])");
  if (!groups.length) {
    note.hidden = false;
    note.textContent = fill("no_photos");
    missing.focus();
    return null;
  }
  if (!form.reportValidity()) return null;
  const taken = groups.map((group) => ({
    mission: groups.length > 1 ? group.mission || mission.value : mission.value,
    id: groups.length > 1 ? group.id : id.value.trim(),
    files: group.files,
  }));
  groups = [];
  id.value = suggested = "";
  note.hidden = true;
  show();
  return taken;
}
