// An open page holds its group, so that nobody else gets it: it says so while it is looked at.
import { byId } from "./dialogs.js";
import { decide } from "./decide.js";

const PERIOD = 45_000; // milliseconds: a hold lasts four times as long
const held = decide?.dataset.held;
// An earlier page of the same group, as before a reload, must not let go for this one.
const page = crypto.getRandomValues(new Uint32Array(4)).join("-");
const fields = () => new URLSearchParams(`${held}&page=${page}`);

async function hold() {
  if (document.hidden) return; // whoever looks at something else lets it go in time
  const answer = await fetch("/hold", { method: "POST", body: fields() });
  if (!answer.ok) return;
  const { holder } = await answer.json();
  const told = byId("held"); // pages of second opinions tell of nobody
  if (!told) return;
  told.querySelector("bdi").textContent = holder;
  told.hidden = !holder;
}
if (held) {
  const again = () => hold().catch(() => {}); // a server that is away is told by the next decision
  again();
  setInterval(again, PERIOD);
  document.addEventListener("visibilitychange", again);
  addEventListener("pagehide", () => navigator.sendBeacon("/leave", fields()));
}
