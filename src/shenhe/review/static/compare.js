// Two captions of one photo: a slider uncovers the one to its left and the other to its right.
for (const layers of document.querySelectorAll("[data-slider]")) {
  const label = layers.parentElement.querySelector(".slide");
  const slider = label.querySelector("input");
  const divider = Object.assign(document.createElement("i"), { className: "divider" });
  const [before, now] = ["before", "now"].map((side) => layers.querySelector(`svg.${side}`));
  const slide = () => {
    before.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
    now.style.clipPath = `inset(0 0 0 ${slider.value}%)`;
    divider.style.left = `${slider.value}%`;
  };
  const follow = (event) => {
    const { left, width } = layers.getBoundingClientRect();
    slider.value = ((event.clientX - left) / width) * 100;
    slide();
  };
  layers.append(divider);
  layers.addEventListener("pointerdown", (event) => {
    layers.setPointerCapture(event.pointerId);
    follow(event);
  });
  layers.addEventListener("pointermove", (event) => layers.hasPointerCapture(event.pointerId) && follow(event));
  slider.addEventListener("input", slide);
  label.hidden = false;
  slide();
}
