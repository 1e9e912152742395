// What colleagues decide appears by itself: one cheap question every few seconds while the page is looked at.
// It never takes typed text away, moves no row, and decides nothing.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";

const PERIOD = 5_000; // milliseconds, with up to a fifth more, so that tabs do not ask at once
const LONGEST = 60_000; // between questions to a server that does not answer

function showProgress(progress) {
  document.querySelectorAll("#counts .progress").forEach((line, at) => {
    const { decided, groups, told } = progress[at];
    const bar = line.querySelector("progress");
    bar.value = decided;
    bar.max = Math.max(groups, 1);
    const words = line.querySelector("span");
    words.lastChild.textContent = told;
    bar.setAttribute("aria-label", words.textContent);
  });
}
function showInList({ group, choice, overrules, told }) {
  const row = document.querySelector(`.queue [data-number="${group}"]`);
  if (!row) return;
  const badge = row.querySelector("[data-choice]");
  badge.textContent = choice;
  badge.hidden = !choice;
  badge.classList.toggle("overruled", overrules);
  const by = row.querySelector("[data-by]");
  by.textContent = told;
  by.hidden = false;
  row.classList.toggle("is-done", Boolean(choice));
}
function showOnPage(notice, { decision, told }) {
  if (decision <= Number(notice.dataset.live)) return;
  notice.querySelector("span").textContent = told;
  notice.hidden = false;
}
function show(live, { progress, changes }) {
  if (!changes) return;
  if (byId("counts")) showProgress(progress);
  for (const change of changes) {
    if (String(change.group) === live.dataset.group) showOnPage(live, change);
    else showInList(change);
  }
}

onPage((left) => {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  let number = Number(live.dataset.live);
  let wait = PERIOD;
  let asking = false;
  async function ask() {
    if (document.hidden || asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const query = new URLSearchParams(live.dataset.query);
      query.set("after", number);
      const answer = await fetch(`/changes?${query}`, { signal: AbortSignal.timeout(10_000) });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const told = await answer.json();
      if (left.aborted) return;
      number = told.number;
      show(live, told);
      wait = PERIOD;
    } catch {
      wait = Math.min(LONGEST, 2 * wait); // a server that is gone is told of by the next decision
    }
    asking = false;
    if (!left.aborted) timer = setTimeout(ask, wait * (1 + Math.random() / 5));
  }
  let timer = setTimeout(ask, PERIOD);
  document.addEventListener("visibilitychange", ask, { signal: left });
  addEventListener("focus", ask, { signal: left });
  left.addEventListener("abort", () => clearTimeout(timer));
});
