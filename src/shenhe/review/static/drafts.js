// Drafts: unsaved input is kept in this browser until it has been saved; a draft decides nothing.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";

const draftsOf = (decide) => ({
  fields: [...decide.elements].filter((field) => field.name && field.matches("input:not([type=hidden]), select, textarea")),
  name: `draft ${decide.dataset.draft}`,
  saved: {},
  // Under no name, as no field is called: the group, for the list of drafts.
  group: () => document.querySelector("h1 bdi")?.textContent,
  value: (field) => (field.type === "checkbox" ? (field.checked ? "1" : "") : field.value),
  fill(field, value) {
    if (field.type === "checkbox") field.checked = Boolean(value);
    else field.value = value;
    // A fault that the list no longer has must not clear the selection.
    if (this.value(field) !== value) field.value = this.saved[field.name];
    field.closest("details:not(.more)")?.setAttribute("open", "");
  },
  keep() {
    const typed = this.fields.filter((field) => this.value(field) !== this.saved[field.name]);
    byId("draft").hidden = !typed.length;
    try {
      if (typed.length)
        localStorage.setItem(this.name, JSON.stringify(Object.fromEntries([["", this.group()], ...typed.map((f) => [f.name, this.value(f)])])));
      else localStorage.removeItem(this.name);
    } catch {
      byId("draft-lost").hidden = !typed.length;
    }
  },
  forget() {
    try {
      localStorage.removeItem(this.name);
    } catch {} // no storage: nothing was kept
  },
  restore() {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(this.name)) ?? {};
    } catch {} // no draft, or an invalid one
    for (const field of this.fields) {
      const value = kept[field.name];
      if (typeof value === "string" && value !== this.value(field)) this.fill(field, value);
    }
  },
});
export let drafts = null; // of the page that is shown
onPage((left) => {
  const decide = byId("decide");
  drafts = decide && draftsOf(decide);
  if (!decide) return;
  // Browsers restore fields after a reload; that is not input of the reviewer.
  decide.reset();
  // A page that was rejected shows unsaved input: there is no saved state to compare with.
  for (const field of drafts.fields) drafts.saved[field.name] = "unsaved" in decide.dataset ? null : drafts.value(field);
  if (!("unsaved" in decide.dataset)) drafts.restore();
  drafts.keep();
  for (const kind of ["input", "change"])
    document.addEventListener(kind, (event) => drafts.fields.includes(event.target) && drafts.keep(), { signal: left });
  byId("discard").addEventListener("click", () => {
    drafts.forget();
    location.assign(decide.action);
  });
});
