const byId = (id) => document.getElementById(id);
const groups = [...document.querySelectorAll(".group")];
function filter() {
  const wanted = byId("text").value.trim().toLowerCase();
  let shown = 0;
  for (const group of groups) {
    const hit =
      (!byId("mission").value || group.dataset.mission === byId("mission").value) &&
      (!byId("verdict").value || group.dataset.verdict === byId("verdict").value) &&
      (!byId("against").checked || group.dataset.against) &&
      (!byId("marked").checked || group.querySelector("[data-mark], .damaged")) &&
      (!wanted || group.textContent.toLowerCase().includes(wanted));
    group.hidden = !hit;
    shown += hit ? 1 : 0;
  }
  byId("count").textContent = shown + " / " + groups.length;
}
for (const id of ["mission", "verdict", "against", "marked", "text"]) byId(id).addEventListener("input", filter);
filter();

// Cells of an evidence table stand in the order of the photos, behind the item.
const photoOf = (target) => {
  const cell = target.closest(".evidence :is(td, th)");
  return cell ? cell.closest(".group").querySelectorAll("figure")[cell.cellIndex - 1] : undefined;
};
for (const [event, on] of Object.entries({ mouseover: true, focusin: true, mouseout: false, focusout: false }))
  document.addEventListener(event, ({ target }) => photoOf(target)?.classList.toggle("lit", on));
document.addEventListener("click", ({ target }) => {
  const photo = photoOf(target);
  photo?.scrollIntoView({ block: "center" });
  photo?.focus({ preventScroll: true });
});
