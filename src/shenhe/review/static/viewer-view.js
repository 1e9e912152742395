// Where a photo stands on its stage: its scale, its place, its turn, and what zooming does to them.
const MAX_ZOOM = 16;

export class View {
  natural = [1, 1]; // size of the upright photo, in pixels
  scale = 1; // CSS pixels a pixel of the photo
  at = [0, 0]; // middle of the photo, from the middle of the stage
  turn = 0; // degrees
  fitted = true;
  room = [0, 0]; // size of the stage, in CSS pixels, when the photo was placed
  #stage;
  #layer;
  #changed;

  constructor(stage, layer, changed, left) {
    this.#stage = stage;
    this.#layer = layer;
    this.#changed = changed;
    const watch = new ResizeObserver(() => this.place());
    watch.observe(stage);
    left.addEventListener("abort", () => watch.disconnect());
  }

  get size() {
    return this.natural.map((side) => side * this.scale);
  }

  // The scale at which the whole photo is just seen, and that of its true pixels.
  get whole() {
    const [width, height] = this.turn % 180 ? [this.natural[1], this.natural[0]] : this.natural;
    return Math.min(this.room[0] / width, this.room[1] / height) || 1;
  }

  get actual() {
    return 1 / devicePixelRatio;
  }

  // More pixels of the same photo change nothing that is seen.
  refine(natural) {
    this.scale *= this.natural[0] / natural[0];
    this.natural = natural;
    this.place();
  }

  begin(natural, turn) {
    this.natural = natural;
    this.turn = turn;
    this.fit();
  }

  fit() {
    this.fitted = true;
    this.place();
  }

  // Zooms so that the point of the photo at (clientX, clientY) stays there.
  zoomTo(scale, clientX, clientY) {
    const [least, most] = [Math.min(this.whole, this.actual), Math.max(this.whole, this.actual) * MAX_ZOOM];
    const to = Math.min(most, Math.max(least, scale));
    if (to < this.scale && to <= this.whole && this.scale > this.whole) return this.fit();
    const pointer = this.#fromMiddle(clientX, clientY);
    this.at = pointer.map((place, axis) => place - (place - this.at[axis]) * (to / this.scale));
    this.scale = to;
    this.fitted = false;
    this.place();
  }

  zoomBy(factor, clientX, clientY) {
    this.zoomTo(this.scale * factor, clientX, clientY);
  }

  pan(dx, dy) {
    this.at = [this.at[0] + dx, this.at[1] + dy];
    this.place();
  }

  turnRight() {
    this.turn = (this.turn + 90) % 360;
    this.at = [-this.at[1], this.at[0]];
    this.place();
  }

  // A point of the window in the 0-1000 frame of the upright photo.
  toPhoto(clientX, clientY) {
    const pointer = this.#fromMiddle(clientX, clientY);
    const [dx, dy] = [pointer[0] - this.at[0], pointer[1] - this.at[1]];
    const angle = (-this.turn * Math.PI) / 180;
    const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
    const [width, height] = this.size;
    return [((dx * cosine - dy * sine) / width + 0.5) * 1000, ((dx * sine + dy * cosine) / height + 0.5) * 1000];
  }

  // The reverse: a point of the photo, in pixels from the corner of the stage.
  toStage([x, y]) {
    const [width, height] = this.size;
    const [dx, dy] = [(x / 1000 - 0.5) * width, (y / 1000 - 0.5) * height];
    const angle = (this.turn * Math.PI) / 180;
    const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
    const room = this.room;
    return [room[0] / 2 + this.at[0] + dx * cosine - dy * sine, room[1] / 2 + this.at[1] + dx * sine + dy * cosine];
  }

  place() {
    this.room = [this.#stage.clientWidth, this.#stage.clientHeight];
    if (this.fitted) [this.scale, this.at] = [this.whole, [0, 0]];
    const size = this.size;
    const seen = this.turn % 180 ? [size[1], size[0]] : size;
    const room = this.room;
    // A part of the photo stays on the stage.
    this.at = this.at.map((place, axis) => {
      const far = Math.max(0, (seen[axis] + room[axis]) / 2 - 60);
      return Math.min(far, Math.max(-far, place));
    });
    const style = this.#layer.style;
    style.width = `${size[0]}px`;
    style.height = `${size[1]}px`;
    const corner = this.at.map((place, axis) => room[axis] / 2 + place - size[axis] / 2);
    style.transform = `translate(${corner[0]}px, ${corner[1]}px) rotate(${this.turn}deg)`;
    this.#changed();
  }

  #fromMiddle(clientX, clientY) {
    const box = this.#stage.getBoundingClientRect();
    return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  }
}
