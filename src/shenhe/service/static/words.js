// The words of the page that the script shows, in the reader's language, as the server wrote them.
export const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
export function fill(name, values = {}) {
  return words[`script_${name}`].replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}
export function refusal(code) {
  return words[code] ?? words.other;
}
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
