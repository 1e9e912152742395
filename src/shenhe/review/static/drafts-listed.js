// The drafts of this browser, as the queue lists them: links to their groups.
import { byId } from "./dialogs.js";

const list = byId("drafts");
function* find(prefix) {
  for (let at = 0; at < localStorage.length; at += 1) {
    const name = localStorage.key(at);
    if (name.startsWith(prefix)) yield [name.slice(prefix.length), JSON.parse(localStorage.getItem(name))[""]];
  }
}
function add(key, group) {
  // A group of the blind audit goes by its ticket, any other one by its key: mission, label, id.
  const isBlind = /^[0-9a-f]{32}$/.test(key);
  const link = document.createElement("a");
  link.href = isBlind ? `/audit/${key}` : `/find?${new URLSearchParams({ key })}`;
  const name = document.createElement("bdi");
  name.textContent = group ?? key.split("\x1f").at(-1);
  link.append(name);
  const item = document.createElement("li");
  item.append(link);
  list.querySelector("ul").append(item);
}
if (list)
  try {
    const drafts = [...find(`draft ${list.dataset.run} `)];
    for (const [key, group] of drafts) add(key, group);
    list.querySelector("summary span").textContent = drafts.length;
    list.hidden = !drafts.length;
  } catch {} // no storage, or what another program wrote there
