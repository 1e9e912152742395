// Mouse, pen and fingers on the stage: zoom at the pointer, pinch, drag, swipe, and two taps.
// An event that another module has handled (preventDefault) is left alone.
const TAP = 300; // milliseconds between two taps
const NEAR = 24; // pixels within which two taps are of one place
const SWIPE = 48; // pixels
const STILL = 4; // pixels that a pointer may move in a click

export function handle(stage, view, { step, twice, offset }) {
  const pointers = new Map();
  let swiped = 0;
  let moved = false;
  let tapped = { at: -Infinity, x: 0, y: 0 };

  stage.addEventListener(
    "wheel",
    (event) => {
      if (event.defaultPrevented) return;
      event.preventDefault();
      const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
      view.zoomBy(Math.exp(-Math.max(-240, Math.min(240, pixels)) * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
    },
    { passive: false },
  );
  stage.addEventListener("pointerdown", (event) => {
    if (event.defaultPrevented || event.button || event.target.closest("button")) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, from: [event.clientX, event.clientY] });
    moved = pointers.size > 1;
    swiped = 0;
  });
  stage.addEventListener("pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer || event.defaultPrevented) return;
    const [before, middle] = spread(pointers);
    const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
    [pointer.x, pointer.y] = [event.clientX, event.clientY];
    if (Math.hypot(event.clientX - pointer.from[0], event.clientY - pointer.from[1]) > STILL && !moved) {
      moved = true;
      stage.setPointerCapture(event.pointerId);
    }
    if (pointers.size > 1) {
      const [after, to] = spread(pointers);
      if (before && after) view.zoomBy(after / before, to[0], to[1]);
      if (!view.fitted) view.pan(to[0] - middle[0], to[1] - middle[1]);
    } else if (!moved) return;
    else if (!view.fitted) view.pan(dx, dy);
    else if (event.pointerType !== "mouse") offset((swiped = event.clientX - pointer.from[0]));
  });
  const end = (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return;
    pointers.delete(event.pointerId);
    offset(0);
    const by = swiped;
    swiped = 0;
    if (event.type === "pointercancel" || pointers.size) return;
    if (Math.abs(by) > SWIPE && view.fitted) return step(by < 0 ? 1 : -1);
    if (!moved) tap(event);
  };
  function tap({ clientX, clientY, timeStamp }) {
    const again = timeStamp - tapped.at < TAP && Math.hypot(clientX - tapped.x, clientY - tapped.y) < NEAR;
    tapped = again ? { at: -Infinity, x: 0, y: 0 } : { at: timeStamp, x: clientX, y: clientY };
    if (again) twice(clientX, clientY);
  }
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
}

// The distance of two pointers, and the point between them.
function spread(pointers) {
  const [a, b] = [...pointers.values()];
  return b ? [Math.hypot(a.x - b.x, a.y - b.y), [(a.x + b.x) / 2, (a.y + b.y) / 2]] : [0, [a.x, a.y]];
}
