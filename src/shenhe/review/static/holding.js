// An open page holds its group, so that nobody else gets it: it says so while it is looked at.
import { byId } from "./dialogs.js";
import { decide } from "./decide.js";
import { onPage } from "./page.js";

const PERIOD = 45_000; // milliseconds: a hold lasts four times as long

onPage((left) => {
  const held = decide?.dataset.held;
  if (!held) return;
  // An earlier page of the same group, as before a reload, must not let go for this one.
  const page = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const fields = () => new URLSearchParams(`${held}&page=${page}`);

  async function hold() {
    if (document.hidden) return; // whoever looks at something else lets it go in time
    const answer = await fetch("/hold", { method: "POST", body: fields(), signal: left });
    if (!answer.ok) return;
    const { holder } = await answer.json();
    const told = byId("held"); // pages of second opinions tell of nobody
    if (!told || left.aborted) return;
    told.querySelector("bdi").textContent = holder;
    told.hidden = !holder;
  }
  const again = () => hold().catch(() => {}); // a server that is away is told by the next decision
  const leave = () => navigator.sendBeacon("/leave", fields());
  again();
  const timer = setInterval(again, PERIOD);
  document.addEventListener("visibilitychange", again, { signal: left });
  addEventListener("pagehide", leave, { signal: left });
  left.addEventListener("abort", () => {
    clearInterval(timer);
    leave();
  });
});
