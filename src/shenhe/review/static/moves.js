// From group to group without loading a document: a page is fetched when it is asked for, never ahead, so that what it
// shows, and whose group it is, is as true as after a load. Whatever is not such a page of this version is loaded.
import { replacePage } from "./page.js";

const PATIENCE = 10_000; // milliseconds: then the browser itself asks, and shows that it waits
const own = () => location.pathname + location.search;
let shown = own();
let asking = null;
export const isMoving = () => asking !== null;

const script = (page) => page.querySelector("script[type=module]").getAttribute("src");
const fits = (page) =>
  page.querySelector("form.moves") && page.documentElement.lang === document.documentElement.lang && script(page) === script(document);

async function fetchPage(address, signal) {
  const answer = await fetch(address, { signal });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return answer.ok && fits(page) ? { page, url: answer.url } : null;
}
async function move(address, load, arrive) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const patience = setTimeout(() => mine.abort(), PATIENCE);
  const found = await fetchPage(address, mine.signal).catch(() => null);
  clearTimeout(patience);
  if (mine !== asking) return; // the reader has gone elsewhere meanwhile
  asking = null;
  if (!found) return load();
  arrive(found.url);
  shown = own();
  try {
    replacePage(found.page);
  } catch (error) {
    location.reload();
    throw error;
  }
}

// Goes to an address as a link does.
export function go(address) {
  if (!document.querySelector("form.moves")) return location.assign(address);
  return move(address, () => location.assign(address), (url) => {
    if (scrollY) scrollTo(0, 0);
    history[url === location.href ? "replaceState" : "pushState"](null, "", url);
  });
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("form.moves a, #left-not-saved a");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.href);
});
// Back and forth: another photo of the same group is no other page, but where another one is awaited, it is to stay away.
addEventListener("popstate", () => {
  if (own() === shown && !asking) return;
  move(location.href, () => location.reload(), (url) => {
    if (url !== location.href.split("#")[0]) history.replaceState(null, "", url); // another page stands for it now
  });
});
