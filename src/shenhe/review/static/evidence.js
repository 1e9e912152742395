// Evidence: what is pointed at in its table, or has the focus there, lights up its photos.
import { byId } from "./dialogs.js";

const evidence = byId("evidence");
function light(target) {
  const lit = target?.closest("[data-photos]")?.dataset.photos.split(" ") ?? [];
  for (const figure of document.querySelectorAll("figure")) figure.classList.toggle("lit", lit.includes(figure.id));
}
if (evidence) {
  const focused = () => (evidence.contains(document.activeElement) ? document.activeElement : null);
  evidence.addEventListener("mouseover", (event) => light(event.target));
  evidence.addEventListener("mouseleave", () => light(focused()));
  evidence.addEventListener("focusin", (event) => light(event.target));
  evidence.addEventListener("focusout", (event) => evidence.contains(event.relatedTarget) || light(null));
}
