// Shapes in the 0-1000 frame of the upright photo: moved, cut, joined and measured. Nothing here draws.
const FRAME = 1000;
export const MOST_CORNERS = 64;
export const clamp = (number) => Math.min(FRAME, Math.max(0, Math.round(number)));
export const toPoint = ([x, y]) => [clamp(x), clamp(y)];
export const least = (kind) => ({ bbox_2d: 4, poly: 3, line: 2 })[kind];

export const corners = ({ kind, points }) => {
  if (kind !== "bbox_2d") return points;
  const [[left, top], [right, bottom]] = points;
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
};
export const edges = (object) => {
  const all = corners(object);
  const pairs = all.map((corner, at) => [corner, all[(at + 1) % all.length]]);
  return object.kind === "line" ? pairs.slice(0, -1) : pairs;
};
export const middle = ([[x1, y1], [x2, y2]]) => [(x1 + x2) / 2, (y1 + y2) / 2];

// A box has a size, wherever its corners were dragged to.
export function boxBetween([x1, y1], [x2, y2]) {
  const apart = (a, b) => (a === b ? (a < FRAME ? [a, a + 1] : [a - 1, a]) : [Math.min(a, b), Math.max(a, b)]);
  const [[left, right], [top, bottom]] = [apart(x1, x2), apart(y1, y2)];
  return [[left, top], [right, bottom]];
}

export function moveCorner(object, at, to) {
  const point = toPoint(to);
  if (object.kind === "bbox_2d") return { ...object, points: boxBetween(corners(object)[(at + 2) % 4], point) };
  return { ...object, points: object.points.with(at, point) };
}

// The whole shape, as far as the photo goes.
export function moveBy(object, dx, dy) {
  const within = (by, places) => Math.min(FRAME - Math.max(...places), Math.max(-Math.min(...places), Math.round(by)));
  const x = within(dx, object.points.map((point) => point[0]));
  const y = within(dy, object.points.map((point) => point[1]));
  return { ...object, points: object.points.map((point) => [point[0] + x, point[1] + y]) };
}

export const canGrow = (object) => object.kind !== "bbox_2d" && object.points.length < MOST_CORNERS;
export const canShrink = (object) => object.kind !== "bbox_2d" && object.points.length > least(object.kind);
export const insertCorner = (object, edge, point) => ({ ...object, points: object.points.toSpliced(edge + 1, 0, toPoint(point)) });
export const removeCorner = (object, at) => ({ ...object, points: object.points.toSpliced(at, 1) });

export function around(points) {
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  return boxBetween([Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]);
}
const turns = { bbox_2d: around, poly: (points) => points, line: (points) => points };
export const canBe = (object, kind) => corners(object).length >= least(kind) || kind === "bbox_2d";
export const become = (object, kind) => ({ ...object, kind, points: turns[kind](corners(object)) });

// Whether the sides of a polygon cross or touch, or it has no area.
const side = ([ax, ay], [bx, by], [cx, cy]) => Math.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax));
const between = ([ax, ay], [bx, by], [cx, cy]) =>
  Math.min(ax, bx) <= cx && cx <= Math.max(ax, bx) && Math.min(ay, by) <= cy && cy <= Math.max(ay, by);
function meet([a, b], [c, d]) {
  const [one, two, three, four] = [side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)];
  if (one !== two && three !== four) return true;
  return [[one, a, b, c], [two, a, b, d], [three, c, d, a], [four, c, d, b]].some(([at, from, to, point]) => !at && between(from, to, point));
}
export function crosses(object) {
  if (object.kind !== "poly") return false;
  const all = edges(object);
  const straight = all.every(([from, to], at) => !side(from, to, all[(at + 1) % all.length][1]));
  return straight || all.some((edge, at) => all.some((other, beside) => {
    if (beside <= at) return false;
    if (beside === at + 1) return !side(...edge, other[1]) && between(...edge, other[1]);
    if (at === 0 && beside === all.length - 1) return !side(...other, edge[1]) && between(...other, edge[1]);
    return meet(edge, other);
  }));
}

// Distances on the screen. Units: pixels.
export const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
export function distanceToEdge(point, [from, to]) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const along = ((point[0] - from[0]) * dx + (point[1] - from[1]) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(1, Math.max(0, along));
  return distance(point, [from[0] + share * dx, from[1] + share * dy]);
}
export function contains(outline, [x, y]) {
  let inside = false;
  outline.forEach(([ax, ay], at) => {
    const [bx, by] = outline[(at + 1) % outline.length];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}
export const area = (points) =>
  Math.abs(points.reduce((sum, [x, y], at) => sum + x * points[(at + 1) % points.length][1] - points[(at + 1) % points.length][0] * y, 0)) / 2;
