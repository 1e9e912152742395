// Links to photos show them on the stage, and what is pointed at in the evidence lights its photos up.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";
import { stage } from "./viewer.js";

const NAMED = /^#photo-(\d+)$/;
const REST = 300; // milliseconds in which a page that took the place of another fetches its own photos
onPage((left) => {
  if (!stage) return;
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#photo-"]');
    const named = link && NAMED.exec(link.getAttribute("href"));
    if (!named || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    stage.leaveContactSheet();
    stage.show(named[1] - 1);
    history.replaceState(history.state, "", link.getAttribute("href"));
    byId("viewer").scrollIntoView({ block: "nearest" });
  }, { signal: left });
  addEventListener("hashchange", () => {
    const named = NAMED.exec(location.hash);
    if (named) stage.show(named[1] - 1);
  }, { signal: left });
});

function light(target) {
  const lit = target?.closest("[data-photos]")?.dataset.photos.split(" ") ?? [];
  const thumbnails = document.querySelectorAll("#strip button");
  document.querySelectorAll("figure").forEach((figure, at) => {
    const isLit = lit.includes(figure.id);
    figure.classList.toggle("lit", isLit);
    thumbnails[at]?.classList.toggle("lit", isLit);
  });
}
onPage(() => {
  const evidence = byId("evidence");
  if (!evidence) return;
  const focused = () => (evidence.contains(document.activeElement) ? document.activeElement : null);
  evidence.addEventListener("mouseover", (event) => light(event.target));
  evidence.addEventListener("mouseleave", () => light(focused()));
  evidence.addEventListener("focusin", (event) => light(event.target));
  evidence.addEventListener("focusout", (event) => evidence.contains(event.relatedTarget) || light(null));
});

// The first photo of the next group is fetched ahead, after what this page itself shows.
onPage((left) => {
  const ahead = document.querySelector("[data-ahead]")?.dataset.ahead;
  const fetchAhead = () => left.aborted || (new Image().src = ahead);
  if (!ahead) return;
  if (document.readyState !== "complete") addEventListener("load", fetchAhead);
  else setTimeout(fetchAhead, REST);
});
