// Dialogs, and the elements that they and the keys share.
import { onPage } from "./page.js";

export const byId = (id) => document.getElementById(id);
// Elements that keep the keys pressed in them. Chips do not: a reason is chosen, then a key decides.
export const TYPED = "input:not([type=hidden], .chip input), select, textarea";

// A dialog is visible wherever the page is scrolled to; its first button gets the focus.
export function open(id) {
  if (!byId(id)) {
    document.body.append(byId(`${id}-template`).content.cloneNode(true));
    for (const button of byId(id).querySelectorAll("[data-close]")) button.addEventListener("click", () => byId(id).close());
  }
  byId(id).showModal();
  return byId(id);
}

// The list of keys.
onPage(() => {
  const openKeys = byId("open-keys");
  if (!openKeys) return;
  openKeys.hidden = false;
  openKeys.addEventListener("click", () => open("keys"));
});
