// Keys press elements of the page: everything that a key does, a click or a tap does as well.
import { decide, isSending } from "./decide.js";
import { TYPED } from "./dialogs.js";

function press(target) {
  if (target.matches(TYPED)) {
    target.focus();
    if (target.select) target.select();
  } else target.click();
}

function moveInQueue(step) {
  const rows = [...document.querySelectorAll(".queue .row")];
  const at = rows.indexOf(document.activeElement);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
  if (next) next.focus();
}

// Only the keys 1, 2, 3, a and a click on a decision decide: never a key that is held down, one of an
// input method or a shortcut, one pressed in a field, a list or a dialog, or a second click.
const REPEATABLE = ["j", "k", "+", "=", "-", "[", "]", "ArrowLeft", "ArrowRight"];
const SAME = { "=": "+" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.keyCode === 229) return;
  const focused = event.target instanceof Element ? event.target : document.body;
  if (event.repeat && !REPEATABLE.includes(event.key)) {
    // Holding a key down presses the focused button once.
    if (focused.closest("button, a, summary")) event.preventDefault();
    return;
  }
  if (event.key === "Enter" && focused.form === decide && focused.matches("input")) event.preventDefault();
  if (focused.matches(TYPED)) {
    if (event.key === "Escape") focused.blur();
    return;
  }
  if (isSending()) return;
  const dialog = document.querySelector("dialog[open]");
  if (dialog) return event.key === "?" && dialog.close();
  if (event.key === "j" || event.key === "k") return moveInQueue(event.key === "j" ? 1 : -1);
  // What has the focus and can be pushed sideways keeps the keys that push it.
  if (event.key.startsWith("Arrow") && focused !== document.body && focused.scrollWidth > focused.clientWidth) return;
  const target = document.querySelector(`[data-key="${CSS.escape(SAME[event.key] ?? event.key)}"]`);
  if (!target || target.hidden) return;
  event.preventDefault();
  press(target);
});
