// The theme: a button of the header turns it without a reload; the server's cookie remembers it.
const sheet = document.getElementById("dark");
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches(".theme")) return;
  event.preventDefault();
  const theme = event.submitter.value;
  sheet.media = event.submitter.dataset.media;
  for (const button of form.querySelectorAll("button")) {
    button.hidden = button.dataset.now !== theme;
    if (!button.hidden) button.focus();
  }
  const body = new URLSearchParams(new FormData(form, event.submitter));
  // Where the server is gone, the page is dark all the same; the next page is as it was.
  fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => {});
});
