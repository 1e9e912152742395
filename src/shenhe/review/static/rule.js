// The mission's rule: open beside the work on a wide screen, unless the reader has closed it there.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";

const WIDE = matchMedia("(min-width: 900px)");
const NAME = "rule closed";
onPage((left) => {
  const rule = byId("rule");
  if (!rule) return;
  const follow = () => {
    let isClosed = false;
    try {
      isClosed = localStorage.getItem(NAME) !== null;
    } catch {} // no storage: nothing was kept
    rule.open = WIDE.matches && !isClosed;
  };
  rule.querySelector("summary").addEventListener("click", () => {
    if (!WIDE.matches) return;
    try {
      if (rule.open) localStorage.setItem(NAME, "1");
      else localStorage.removeItem(NAME);
    } catch {} // no storage: the next page opens it again
  });
  WIDE.addEventListener("change", follow, { signal: left });
  follow();
});
