// Captions are corrected on the stage: shapes are drawn, moved and deleted, and descs chosen.
import { byId } from "./dialogs.js";
import "./drafts.js"; // a draft stands in the form before it is read here
import { handleEdits } from "./geometry-hand.js";
import { drawHandles } from "./geometry-handles.js";
import { crosses } from "./geometry-math.js";
import { listenToKeys } from "./geometry-keys.js";
import { listen, show, toggle } from "./geometry-panel.js";
import { choose, readField, showPhoto, state } from "./geometry-state.js";
import { onPage } from "./page.js";
import { objects } from "./viewer-shapes.js";
import { stage } from "./viewer.js";

// The first object that cannot be saved as it is.
function findWrong() {
  for (const [photo, list] of Object.entries(objects)) {
    const object = list.find((one) => !one.desc.trim() || crosses(one));
    if (object) return { photo, object: object.key };
  }
  return {};
}

onPage((left) => {
  document.documentElement.classList.remove("editing");
  if (!stage || !byId("editor")) return;
  readField();
  listen();
  handleEdits(byId("stage"));
  listenToKeys(left);
  let photo = null;
  const follow = () => {
    drawHandles();
    show();
  };
  document.addEventListener("photoshown", ({ detail }) => {
    if (detail.photo !== photo) Object.assign(state, { pending: [], corner: null });
    photo = detail.photo;
    follow();
  }, { signal: left });
  document.addEventListener("geometry", follow, { signal: left });
  // What the server has sent back for its captions is corrected at once.
  document.addEventListener("pageready", () => {
    if (!("open" in byId("editor").dataset)) return;
    const { photo: asked, object } = document.querySelector("#unknown-descs li")?.dataset ?? findWrong();
    toggle(true);
    if (!asked) return;
    showPhoto(asked);
    choose(object);
  }, { signal: left });
});
