// Reasons: those with a key are toggled by it; the others are in a list that can be searched.
import { byId } from "./dialogs.js";
import "./drafts.js"; // what a draft holds is chosen before anything is told of it
import { onPage } from "./page.js";

onPage((left) => {
  const more = byId("more");
  const search = byId("find-fault");
  const chips = more ? [...more.querySelectorAll(".chip")] : [];

  // What is chosen in the list is told beside its name, where the list is closed.
  function tell() {
    const texts = chips.filter((chip) => chip.control.checked).map((chip) => chip.textContent.trim());
    byId("chosen").textContent = texts.length ? `: ${texts.join("，")}` : "";
    more.classList.toggle("has-chosen", texts.length > 0);
  }
  function narrow() {
    const wanted = search.value.trim().toLowerCase();
    for (const chip of chips) chip.hidden = !chip.textContent.toLowerCase().includes(wanted);
    byId("no-fault").hidden = chips.some((chip) => !chip.hidden);
  }
  if (more) {
    search.hidden = false;
    more.querySelector("summary").addEventListener("click", (event) => {
      // Opened here and now: what is typed behind the key goes into the search.
      event.preventDefault();
      more.open = !more.open;
      search.value = "";
      narrow();
      if (more.open) search.focus();
    });
    search.addEventListener("input", narrow);
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) chips.find((chip) => !chip.hidden)?.control.click();
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && (more.open = false), { signal: left });
    document.addEventListener("click", (event) => more.contains(event.target) || (more.open = false), { signal: left });
    document.addEventListener("change", (event) => more.contains(event.target) && tell(), { signal: left });
    tell();
  }
  // A chosen chip beyond the edge of its row comes into view.
  for (const chip of document.querySelectorAll(".chips .chip"))
    chip.control.addEventListener("change", () => chip.scrollIntoView({ block: "nearest", inline: "nearest" }));
});
