// Descs as the vocabulary has them: taken apart into choices, put together, and checked by the server.
import { choices, model, refresh, remark, unknown } from "./geometry-state.js";
import { onPage } from "./page.js";

const MARKS = /[/,，]/;
const REMARK = /[/,，](?=需复核|备注)/;
const WAIT = 250; // milliseconds after a key until a desc is checked
let known;
let hasSlashesAlone; // some trainings separate all levels by `/`: what is chosen is written as the run's own descs are
onPage(() => {
  const descs = Object.values(model).flat().map((object) => object.desc);
  known = new Set(descs.filter((desc) => !unknown.has(desc)));
  const own = descs.filter((desc) => !desc.startsWith("标签"));
  hasSlashesAlone = own.some((desc) => desc.split("/").length > 2) && !own.some((desc) => /[,，]/.test(desc));
});

export function takeApart(desc) {
  const at = desc.search(REMARK);
  const [body, told] = at < 0 ? [desc, ""] : [desc.slice(0, at), desc.slice(at + 1)];
  const begins = (name) => body === name || (body.startsWith(name) && (MARKS.test(body[name.length]) || levelsOf(name)[0]?.text));
  const category = choices.map((choice) => choice.category).filter(begins).sort((one, other) => other.length - one.length)[0] ?? "";
  const rest = body.slice(category.length).replace(/^[/,，]/, "");
  const words = rest.split(MARKS).map((word) => word.trim()).filter(Boolean);
  const values = levelsOf(category).map((level) =>
    level.text ? [rest].filter(Boolean) : words.filter((word) => level.values.includes(word)).slice(0, level.several ? undefined : 1),
  );
  return { category, values, remark: told };
}
export const levelsOf = (category) => choices.find((choice) => choice.category === category)?.levels ?? [];
export const isOffered = (level, values) => !level.after.length || level.after.some((word) => values.flat().includes(word));

export function putTogether({ category, values, remark: told }) {
  let desc = category;
  levelsOf(category).forEach((level, at) => {
    const chosen = isOffered(level, values.slice(0, at)) ? (values[at] ?? []) : [];
    if (!chosen.length) return;
    const mark = desc === category || hasSlashesAlone ? "/" : level.mark;
    desc += mark + chosen.join(hasSlashesAlone ? "/" : ",");
  });
  return told ? `${desc}/${told}` : desc;
}
export const remarkText = (told) => told.replace(/^(需复核[/,，]?)?(备注[:：]?)?/, "");
export const asRemark = (text, before) => (text.trim() ? (/^(需复核[/,，]?)?备注[:：]?/.exec(before)?.[0] ?? remark) + text.trim() : "");

// Whether a desc is known: true, false with what was probably meant, or null until the server has answered.
const tidy = (desc) => desc.trim().replace(/\s+/g, " ");
let waiting;
export function check(desc) {
  const text = tidy(desc);
  if (known.has(text)) return { known: true };
  if (unknown.has(text)) return { known: false, meant: unknown.get(text) };
  clearTimeout(waiting);
  if (text) waiting = setTimeout(() => ask(text), WAIT);
  return { known: null };
}
async function ask(desc) {
  const answer = await fetch(`/vocabulary?desc=${encodeURIComponent(desc)}`).catch(() => null);
  if (!answer?.ok) return; // the server checks again when it is sent
  const told = await answer.json();
  if (told.known) known.add(desc);
  else unknown.set(desc, told.meant);
  refresh();
}
