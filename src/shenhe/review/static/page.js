// A page is set up when it has been loaded, and anew whenever the next one has taken its place without a load.
import { localise } from "./times.js";

const setUps = [];
let leaving = new AbortController();

// Sets this page up, and each one that follows, in the order of the imports. The signal is aborted when the page is
// left: it takes the listeners of document and window away, and nothing that is still awaited may touch the next page.
export function onPage(setUp) {
  setUps.push(setUp);
  setUp(leaving.signal);
}
const tellReady = () => document.dispatchEvent(new Event("pageready"));
document.addEventListener("DOMContentLoaded", tellReady);

// All that a page holds is replaced but the line that tells where one has arrived: a new one would not be read out.
export function replacePage(next) {
  leaving.abort();
  leaving = new AbortController();
  const arrived = document.getElementById("arrived");
  for (const node of [...document.body.childNodes]) if (node !== arrived) node.remove();
  next.getElementById("arrived").remove();
  localise(next);
  document.body.append(...next.body.childNodes);
  document.title = arrived.textContent = next.title;
  document.getElementById("dark").media = next.getElementById("dark").media; // turned in another window
  for (const setUp of setUps) setUp(leaving.signal);
  tellReady();
}
