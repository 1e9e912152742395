// Keys press elements of the page: everything that a key does, a click or a tap does as well.
"use strict";
const byId = (id) => document.getElementById(id);
const TYPED = "input:not([type=hidden]), select, textarea";

function press(target) {
  if (target.matches(TYPED)) {
    target.focus();
    if (target.select) target.select();
  } else target.click();
}

// A dialog is visible wherever the page is scrolled to; its first button gets the focus.
function open(id) {
  if (!byId(id)) {
    document.body.append(byId(`${id}-template`).content.cloneNode(true));
    for (const button of byId(id).querySelectorAll("[data-close]")) button.addEventListener("click", () => byId(id).close());
  }
  byId(id).showModal();
  return byId(id);
}

function moveInQueue(step) {
  const rows = [...document.querySelectorAll(".queue .row")];
  const at = rows.indexOf(document.activeElement);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
  if (next) next.focus();
}

// Only the keys 1, 2, 3, a and a click on a decision decide: never a key that is held down, one of an
// input method or a shortcut, one pressed in a field, a list or a dialog, or a second click.
const REPEATABLE = ["j", "k", "+", "=", "-"];
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
  if (sending) return;
  const dialog = document.querySelector("dialog[open]");
  if (dialog) return dialog === zoom ? zoomKey(event) : event.key === "?" && dialog.close();
  if (event.key === "j" || event.key === "k") return moveInQueue(event.key === "j" ? 1 : -1);
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target || target.hidden) return;
  event.preventDefault();
  press(target);
});

// A decision is on disk once the server has answered; until then the page stays.
const decide = byId("decide");
let sending = false;
let byItself = false;
const PATIENCE = 60_000; // milliseconds: twice the time that the server waits for its disk
document.addEventListener("click", (event) => {
  const again = event.detail > 1 && event.target.closest("[name=choice], .moves button");
  if (!again && !(sending && event.target.closest("a, button"))) return;
  event.preventDefault();
  event.stopPropagation();
}, true);
async function send(button) {
  const body = new URLSearchParams(new FormData(decide, button));
  const signal = AbortSignal.timeout(PATIENCE);
  const answer = await fetch(button.formAction, { method: "POST", body, signal, headers: { Accept: "application/json" } });
  if (answer.ok && !answer.redirected) drafts.forget();
  if (answer.ok) return location.assign(answer.redirected ? answer.url : (await answer.json()).next);
  const told = await answer.json().catch(() => ({}));
  sending = false;
  if (told.faults) return askBack(told);
  // A conflict or an invalid line: submitting the form itself shows the page that explains it.
  byItself = true;
  decide.requestSubmit(button);
}
if (decide)
  decide.addEventListener("submit", (event) => {
    if (byItself) return (byItself = false);
    event.preventDefault();
    if (sending || event.submitter?.name !== "choice") return;
    sending = true;
    byId("not-saved").hidden = true;
    send(event.submitter).catch(() => {
      sending = false;
      byId("not-saved").hidden = false;
    });
  });
function askBack(told) {
  const dialog = open("ask");
  dialog.querySelector("bdi").textContent = told.faults.join("，");
  byId("ask-pass").formAction = told.despite;
}
for (const undo of document.querySelectorAll(".moves"))
  undo.addEventListener("submit", (event) => {
    if (sending) event.preventDefault();
    sending = true;
  });
// A page from the browser's back/forward cache is out of date.
addEventListener("pageshow", (event) => event.persisted && location.reload());

// Drafts: unsaved input is kept in this browser until it has been saved; a draft decides nothing.
const drafts = {
  fields: decide ? [...decide.elements].filter((field) => field.name && field.matches(TYPED)) : [],
  name: decide && `draft ${decide.dataset.draft}`,
  saved: {},
  value: (field) => (field.type === "checkbox" ? (field.checked ? "1" : "") : field.value),
  fill(field, value) {
    if (field.type === "checkbox") field.checked = Boolean(value);
    else field.value = value;
    // A fault that the list no longer has must not clear the selection.
    if (drafts.value(field) !== value) field.value = drafts.saved[field.name];
    field.closest("details")?.setAttribute("open", "");
  },
  keep() {
    const typed = drafts.fields.filter((field) => drafts.value(field) !== drafts.saved[field.name]);
    byId("draft").hidden = !typed.length;
    try {
      if (typed.length)
        localStorage.setItem(drafts.name, JSON.stringify(Object.fromEntries(typed.map((f) => [f.name, drafts.value(f)]))));
      else localStorage.removeItem(drafts.name);
    } catch {
      byId("draft-lost").hidden = !typed.length;
    }
  },
  forget() {
    try {
      localStorage.removeItem(drafts.name);
    } catch {} // no storage: nothing was kept
  },
  restore() {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(drafts.name)) ?? {};
    } catch {} // no draft, or an invalid one
    for (const field of drafts.fields) {
      const value = kept[field.name];
      if (typeof value === "string" && value !== drafts.value(field)) drafts.fill(field, value);
    }
  },
};
if (decide) {
  // Browsers restore fields after a reload; that is not input of the reviewer.
  decide.reset();
  // A page that was rejected shows unsaved input: there is no saved state to compare with.
  for (const field of drafts.fields) drafts.saved[field.name] = "unsaved" in decide.dataset ? null : drafts.value(field);
  if (!("unsaved" in decide.dataset)) drafts.restore();
  drafts.keep();
  for (const kind of ["input", "change"])
    document.addEventListener(kind, (event) => drafts.fields.includes(event.target) && drafts.keep());
  byId("discard").addEventListener("click", () => {
    drafts.forget();
    location.assign(decide.action);
  });
}

// A photo that cannot be opened is replaced by a sentence.
for (const image of document.querySelectorAll(".picture img")) {
  const tell = () => {
    const told = Object.assign(document.createElement("span"), { className: "broken", textContent: image.dataset.broken });
    image.replaceWith(told);
  };
  if (image.complete && !image.naturalWidth) tell();
  else image.addEventListener("error", tell);
}

// Overlays replace the photos.
const overlays = byId("overlays");
const drawn = [...document.querySelectorAll(".picture[data-overlay]")];
if (overlays && drawn.length) {
  overlays.hidden = false;
  overlays.addEventListener("click", () => {
    const on = overlays.getAttribute("aria-pressed") !== "true";
    overlays.setAttribute("aria-pressed", on);
    for (const picture of drawn) {
      const image = picture.querySelector("img");
      if (!image) continue;
      image.dataset.plain ??= image.src;
      image.src = on ? picture.dataset.overlay : image.dataset.plain;
    }
  });
}

// Evidence: what is pointed at in its table, or has the focus there, lights up its photos.
const evidence = byId("evidence");
function light(target) {
  const lit = target?.closest("[data-photos]")?.dataset.photos.split(" ") ?? [];
  for (const figure of document.querySelectorAll("figure")) figure.classList.toggle("lit", lit.includes(figure.id));
}
if (evidence) {
  const focused = () => (evidence.contains(document.activeElement) ? document.activeElement : null);
  evidence.addEventListener("mouseover", (event) => light(event.target));
  evidence.addEventListener("mouseleave", () => light(focused()));
  evidence.addEventListener("focusin", (event) => light(event.target));
  evidence.addEventListener("focusout", (event) => evidence.contains(event.relatedTarget) || light(null));
}

// Zoom: one photo over the whole page, enlarged up to eight times.
const zoom = byId("zoom");
const pictures = [...document.querySelectorAll(".picture")];
let shown = 0;
let scale = 1;
function show(at) {
  shown = (at + pictures.length) % pictures.length;
  const picture = pictures[shown];
  const image = zoom.querySelector("img");
  const overlaid = overlays?.getAttribute("aria-pressed") === "true" && picture.dataset.overlayLarge;
  image.src = overlaid || picture.dataset.large;
  image.alt = picture.querySelector("img")?.alt ?? "";
  byId("zoomed").textContent = image.alt;
  resize(1);
  if (!zoom.open) zoom.showModal();
}
function resize(to) {
  scale = Math.min(8, Math.max(1, to));
  const image = zoom.querySelector("img");
  image.classList.toggle("larger", scale > 1);
  image.style.width = scale > 1 ? `${scale * 100}%` : "";
}
function zoomKey(event) {
  const does = {
    z: () => show(shown + 1), n: () => show(shown + 1), b: () => show(shown - 1),
    "+": () => resize(scale * 1.5), "=": () => resize(scale * 1.5), "-": () => resize(scale / 1.5),
    q: () => zoom.close(),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}
if (zoom) {
  pictures.forEach((picture, at) => picture.addEventListener("click", () => show(at)));
  byId("close").addEventListener("click", () => zoom.close());
  byId("larger").addEventListener("click", () => resize(scale * 1.5));
  byId("smaller").addEventListener("click", () => resize(scale / 1.5));
  zoom.querySelector(".scroll").addEventListener("dblclick", () => resize(scale > 1 ? 1 : 3));
}

// The first photo of the next group is fetched ahead.
const ahead = document.querySelector("[data-ahead]");
if (ahead) addEventListener("load", () => (new Image().src = ahead.dataset.ahead));

// The list of keys.
const openKeys = byId("open-keys");
if (openKeys) {
  openKeys.hidden = false;
  openKeys.addEventListener("click", () => open("keys"));
}
