// The queue: selecting groups, which groups have a draft in this browser, photos that cannot be opened.
import { byId } from "./dialogs.js";

const chosen = byId("picking");
const boxes = chosen ? [...document.querySelectorAll(".pick input")] : [];
let last = -1;
function count() {
  const picked = boxes.filter((box) => box.checked).length;
  byId("picked").textContent = picked ? byId("picked").dataset.words.replace("{count}", picked) : "";
  chosen.classList.toggle("is-used", picked > 0);
  const all = byId("pick-all").querySelector("input");
  all.checked = picked === boxes.length;
  all.indeterminate = picked > 0 && picked < boxes.length;
  for (const box of boxes) box.closest("li").classList.toggle("is-picked", box.checked);
}
if (chosen && boxes.length) {
  byId("pick-all").hidden = false;
  byId("pick-all").addEventListener("change", (event) => {
    for (const box of boxes) box.checked = event.target.checked;
    count();
  });
  boxes.forEach((box, at) =>
    box.addEventListener("click", (event) => {
      if (event.shiftKey && last >= 0)
        for (const between of boxes.slice(Math.min(at, last), Math.max(at, last) + 1)) between.checked = box.checked;
      last = at;
      count();
    }),
  );
  // x selects the row that has the focus; it decides nothing.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    document.activeElement.closest?.(".queue .row")?.parentElement.querySelector(".pick input")?.click();
  });
  count();
}

for (const mark of document.querySelectorAll(".queue [data-draft]"))
  try {
    mark.hidden = !localStorage.getItem(`draft ${mark.dataset.draft}`);
  } catch {} // no storage: no drafts

for (const image of document.querySelectorAll(".thumb img")) {
  const leave = () => image.remove();
  if (image.complete && !image.naturalWidth) leave();
  else image.addEventListener("error", leave);
}

// The second look: how many groups are ticked.
const bulk = byId("bulk");
if (bulk) {
  const ticked = () => {
    byId("taken").textContent = bulk.querySelectorAll("[name^=take-]:checked").length;
  };
  bulk.addEventListener("change", ticked);
  bulk.addEventListener("submit", (event) => {
    if (event.submitter?.name !== "choice") return; // Enter presses a button that does nothing
    if (bulk.dataset.sent) event.preventDefault();
    bulk.dataset.sent = "1";
  });
  ticked();
}
