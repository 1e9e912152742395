// Decisions: a decision is on disk once the server has answered; until then the page stays.
import { byId, open } from "./dialogs.js";
import { drafts } from "./drafts.js";
import { go, isMoving } from "./moves.js";
import { onPage } from "./page.js";

export let decide = null; // the form of the page that is shown
let sending = false;
let byItself = false;
export const isSending = () => sending || isMoving();
const PATIENCE = 60_000; // milliseconds: twice the time that the server waits for its disk
document.addEventListener("click", (event) => {
  const again = event.detail > 1 && event.target.closest("[name=choice], .moves button, .undo button");
  if (!again && !(isSending() && event.target.closest("a, button"))) return;
  event.preventDefault();
  event.stopPropagation();
}, true);
async function send(button, left, place) {
  const own = drafts;
  const body = new URLSearchParams(new FormData(decide, button));
  const signal = AbortSignal.timeout(PATIENCE);
  const answer = await fetch(button.formAction, { method: "POST", body, signal, headers: { Accept: "application/json" } });
  if (answer.ok && !answer.redirected) own.forget();
  const next = answer.ok && (answer.redirected ? answer.url : (await answer.json()).next);
  const told = answer.ok || (await answer.json().catch(() => ({})));
  // The reader has gone back meanwhile, or is going.
  if (left.aborted || isMoving()) return (answer.ok && !answer.redirected) || tellOfLeft(place);
  if (next) return go(next);
  sending = false;
  if (answer.status === 503) return (byId("database-away").hidden = false);
  if (told.faults) return askBack(told);
  // A conflict or an invalid line: submitting the form itself shows the page that explains it.
  byItself = true;
  decide.requestSubmit(button);
}
// Decisions that failed when their pages were left already, by the paths of these. Each page that is shown tells of all
// of them, with ways back, until the reader has been back.
const untold = new Map();
function tellOfLeft(place) {
  untold.set(new URL(place.address).pathname, place);
  if (!isMoving()) tell();
}
function tell() {
  const notice = byId("left-not-saved");
  const list = notice.querySelector("span");
  list.replaceChildren();
  for (const place of untold.values()) {
    const link = document.createElement("a");
    link.href = place.address;
    link.append(document.createElement("bdi"));
    link.firstChild.textContent = place.group;
    list.append(" ", link);
    place.isTold = true;
  }
  notice.hidden = false;
}
function tellAgain() {
  const { pathname } = location;
  if (untold.get(pathname)?.isTold) untold.delete(pathname);
  if (untold.size) tell();
}
function askBack(told) {
  const dialog = open("ask");
  dialog.querySelector("bdi").textContent = told.faults.join("，");
  byId("ask-pass").formAction = told.despite;
}
onPage((left) => {
  decide = byId("decide");
  sending = byItself = false;
  tellAgain();
  decide?.addEventListener("submit", (event) => {
    if (byItself) return (byItself = false);
    event.preventDefault();
    if (isSending() || event.submitter?.name !== "choice") return;
    sending = true;
    byId("not-saved").hidden = byId("database-away").hidden = true;
    const place = { address: location.href, group: document.querySelector("h1 bdi").textContent };
    send(event.submitter, left, place).catch(() => {
      if (left.aborted || isMoving()) return tellOfLeft(place);
      sending = false;
      byId("not-saved").hidden = false;
    });
  });
  for (const undo of document.querySelectorAll(".moves, .undo"))
    undo.addEventListener("submit", (event) => {
      if (isSending()) event.preventDefault();
      sending = true;
    });
});
// A page from the browser's back/forward cache is out of date.
addEventListener("pageshow", (event) => event.persisted && location.reload());
