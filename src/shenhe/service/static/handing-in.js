// Handing photos in: dropped, chosen or taken, sent one group after the other, with what becomes of each.
import { add, take } from "./chosen.js";
import { readDrop, readInput } from "./folders.js";
import { refresh } from "./following.js";
import { send } from "./sending.js";
import { element, fill, refusal, words } from "./words.js";

const form = document.getElementById("hand-in");
const sent = document.getElementById("sent");
const waiting = [];
let isSending = false;

function line(group) {
  const bar = element("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", group.id);
  const told = element("span", { className: "told-of", role: "status", textContent: fill("waiting") });
  const made = element("div", { className: "sending" }, element("bdi", { textContent: group.id }), bar, told);
  return { made, bar, told };
}
function enqueue(group, lane) {
  const shown = line(group);
  sent.prepend(shown.made);
  waiting.push({ group, lane, shown });
}
async function sendAll() {
  if (isSending) return;
  isSending = true;
  for (let next = waiting.shift(); next; next = waiting.shift()) await sendOne(next);
  isSending = false;
}
async function sendOne({ group, lane, shown }) {
  const tell = (name, share, seconds) => {
    shown.bar.value = share;
    shown.told.textContent = fill(name, { seconds });
  };
  try {
    const job = await send(group, lane, tell);
    await showJob(shown, job, { group, lane });
  } catch (problem) {
    showProblem(shown, problem, { group, lane });
  }
}
async function showJob({ made }, { id }, { group, lane }) {
  if (!words.may_read) return made.replaceChildren(element("bdi", { textContent: group.id }), " ", fill("accepted"));
  const holder = element("div", { className: "holder" });
  holder.dataset.job = id;
  holder.dataset.lane = lane;
  made.replaceWith(holder);
  await refresh(holder);
}
function showProblem({ made }, problem, again) {
  if (!problem.code) throw problem;
  const text = problem.code === "cut" ? fill("cut") : refusal(problem.code);
  const button = element("button", { type: "button", textContent: fill("again") });
  const told = element("p", { className: "problem", textContent: text });
  told.setAttribute("role", "alert");
  // What the service says names the photo and the limit.
  const detail = element("bdi", { className: "soft", textContent: problem.message ?? "" });
  made.replaceChildren(element("bdi", { textContent: again.group.id }), button, told, detail);
  button.onclick = () => {
    made.remove();
    enqueue(again.group, again.lane);
    sendAll();
  };
}
function begin() {
  const drop = document.getElementById("drop");
  for (const id of ["ways", "drop-hint"]) document.getElementById(id).hidden = false;
  document.getElementById("photos").required = false;
  for (const button of form.querySelectorAll("[data-opens]")) {
    const input = document.getElementById(button.dataset.opens);
    button.onclick = () => input.click();
    input.onchange = () => {
      add(readInput(input));
      input.value = ""; // the same photos can be chosen once more
    };
  }
  // Beside the frame too: a browser would leave the page and show the photo.
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.classList.add("is-over");
  });
  addEventListener("dragleave", (event) => drop.classList.toggle("is-over", event.relatedTarget !== null));
  addEventListener("drop", async (event) => {
    drop.classList.remove("is-over");
    if (!hasFiles(event)) return;
    event.preventDefault();
    add(await readDrop(event.dataTransfer));
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const groups = take();
    if (!groups) return;
    for (const group of groups) enqueue(group, groups.length > 1 ? "bulk" : "interactive");
    sendAll();
  });
  addEventListener("beforeunload", (event) => {
    if (isSending) event.preventDefault();
  });
}
if (form) begin();
