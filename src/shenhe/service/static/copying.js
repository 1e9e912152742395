// Commands to copy: a button for each, where the browser lets a page write to the clipboard.
import { fill } from "./words.js";

for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = !navigator.clipboard;
  button.onclick = async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
    button.textContent = fill("copied");
  };
}
