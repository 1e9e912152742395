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
      (!wanted || group.textContent.toLowerCase().includes(wanted));
    group.hidden = !hit;
    shown += hit ? 1 : 0;
  }
  byId("count").textContent = shown + " / " + groups.length;
}
for (const id of ["mission", "verdict", "against", "text"]) byId(id).addEventListener("input", filter);
filter();
