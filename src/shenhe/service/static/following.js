// What becomes of groups: results as the service tells them, and a look every few seconds beside that or instead.
import { localise } from "./times.js";

const PERIOD = 5_000; // milliseconds between looks, while results are told
const ALONE = 2_000; // and while they are not
const SOON = 400; // after a result: often more of them follow
const AT_ONCE = 8; // groups that are looked at in one go
let stream;
let timer;
let isLooking = false;

async function fetchPart(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(20_000) });
  if (answer.redirected) location.reload(); // the key is no longer one: the page asks for another
  if (!answer.ok) throw new Error(answer.status);
  const part = document.createElement("template");
  part.innerHTML = await answer.text();
  return part.content;
}
// Shows a job as it is now; photos that are there stay, so that nothing blinks.
export async function refresh(holder) {
  const part = await fetchPart(`/groups/${holder.dataset.job}/part`);
  const now = part.querySelector(".job");
  const shown = holder.matches(".job") ? holder : holder.querySelector(".job");
  if (shown && shown.dataset.state === now.dataset.state) return;
  localise(now);
  // Of many groups that are handed in at once, the photos would bury the verdicts.
  const photos = shown?.querySelector("details");
  now.querySelector("details").open = photos ? photos.open : holder.dataset.lane !== "bulk";
  announce(now);
  if (!holder.matches(".job")) holder.replaceChildren(now);
  else {
    // The page of the group has its name as its heading.
    now.querySelector(".about a")?.remove();
    holder.replaceWith(now);
  }
  follow();
}
function announce(job) {
  const line = document.getElementById("announced");
  const name = job.querySelector(".about bdi")?.cloneNode(true);
  if (line && name && "over" in job.dataset) line.replaceChildren(name, `: ${job.querySelector(".badge").textContent}`);
}
async function refreshOverview() {
  const shown = document.getElementById("overview");
  if (!shown || shown.contains(document.activeElement) || getSelection().containsNode(shown, true)) return;
  const part = await fetchPart(shown.dataset.address);
  const now = part.getElementById("overview");
  localise(now);
  shown.replaceWith(now);
}
function open() {
  return [...document.querySelectorAll(".holder, main > .job")].filter((holder) => {
    const job = holder.matches(".job") ? holder : holder.querySelector(".job");
    return !job || !("over" in job.dataset);
  });
}
async function look() {
  if (document.hidden || isLooking) return;
  isLooking = true;
  clearTimeout(timer);
  const results = await Promise.allSettled([refreshOverview(), ...open().slice(0, AT_ONCE).map(refresh)]);
  isLooking = false;
  const isAway = results.some(({ status }) => status === "rejected");
  const isTold = stream?.readyState === EventSource.OPEN;
  timer = setTimeout(look, isTold || isAway ? PERIOD : ALONE);
}
function told(event) {
  const { id } = JSON.parse(event.data);
  const holder = open().find((each) => each.dataset.job === id);
  if (holder) refresh(holder).catch(() => {});
  clearTimeout(timer);
  timer = setTimeout(look, SOON);
}
// One stream a page, and none of a page that nobody looks at: a browser has six connections for all of them.
function follow() {
  if (document.hidden || !open().length) {
    stream?.close();
    stream = null;
  } else if (!stream || stream.readyState === EventSource.CLOSED) {
    stream = new EventSource("/v1/events");
    stream.addEventListener("done", told);
    stream.addEventListener("failed", told);
    stream.addEventListener("open", look); // what was told before it listened
  }
}
if (document.getElementById("overview") || document.querySelector(".job")) {
  follow();
  timer = setTimeout(look, ALONE);
  document.addEventListener("visibilitychange", () => {
    follow();
    look();
  });
}
