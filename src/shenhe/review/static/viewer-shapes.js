// The objects of the shown photo as shapes over it. Texts of models are only ever set as text.
import { byId } from "./dialogs.js";
import { onPage } from "./page.js";

const read = (id) => JSON.parse(byId(id)?.textContent || "{}");
export let objects = {}; // objects by the key of their photo
let colours = {};
onPage(() => ([objects, colours] = [read("objects"), read("colours")]));
const OTHER = "#00dcdc";
const LONGEST = 60; // characters of a desc beside its shape
const TAG = 18; // pixels
const NAMESPACE = "http://www.w3.org/2000/svg";

export const colourOf = (desc) => colours[desc.split(/[/,，]/)[0].trim()] ?? colours[desc] ?? OTHER;

export function element(name, attributes, ...children) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export const corners = ({ kind, points }) => {
  if (kind !== "bbox_2d") return points;
  const [[left, top], [right, bottom]] = points;
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
};

function shape(object) {
  const points = corners(object).map((point) => point.join(",")).join(" ");
  const name = object.kind === "line" ? "polyline" : "polygon";
  return [element(name, { points, class: "casing" }), element(name, { points, class: "outline", stroke: colourOf(object.desc) })];
}

// Of shapes that lie over one another the smaller is above: each can be pointed at.
function extent(object) {
  const range = (axis) => {
    const places = object.points.map((point) => point[axis]);
    return Math.max(...places) - Math.min(...places);
  };
  return object.kind === "line" ? 0 : range(0) * range(1);
}

// The number of an object at its first corner, and its desc, which is seen while the object is lit.
function tag(object, number) {
  const desc = object.desc.length > LONGEST ? `${object.desc.slice(0, LONGEST)}…` : object.desc;
  const width = Math.max(TAG, 9 * String(number).length + 8);
  const text = element("text", { x: width / 2, y: -5, class: "number" }, String(number));
  const box = element("rect", { x: 0, y: -TAG, width, height: TAG, rx: 4, fill: colourOf(object.desc) });
  const words = element("text", { x: width + 6, y: -5, class: "desc" }, desc);
  return element("g", { class: "tag" }, box, text, words);
}

export function draw(svg, photo) {
  const drawn = (objects[photo] ?? []).map((object, index) => {
    const group = element("g", { "data-photo": photo, "data-object": object.key });
    const label = tag(object, index + 1);
    [label.dataset.x, label.dataset.y] = corners(object)[0] ?? [0, 0];
    group.append(...shape(object), label);
    return [extent(object), group];
  });
  svg.replaceChildren(...drawn.sort(([a], [b]) => b - a).map(([, group]) => group));
}

// Tags keep their size and stand upright, however the photo is enlarged and turned, and do not leave the stage alone.
export function placeTags(svg, view) {
  const [width, height] = view.size;
  const room = view.room;
  for (const label of svg.querySelectorAll(".tag")) {
    const { x, y } = label.dataset;
    const at = view.toStage([x, y]);
    const size = [Number(label.firstElementChild.getAttribute("width")), TAG];
    const isSeen = at.every((place, axis) => place >= -1 && place <= room[axis] + 1);
    const [right, down] = isSeen ? [Math.min(0, room[0] - at[0] - size[0]), Math.max(0, TAG - at[1])] : [0, 0];
    const stands = `translate(${x} ${y}) scale(${1000 / width} ${1000 / height}) rotate(${-view.turn})`;
    label.setAttribute("transform", `${stands} translate(${right} ${down})`);
  }
}
