// A button for full screen that takes the menus and the time line along: the browser's own would show the picture alone.

const IDLE = 3000; // ms without a move of the pointer, after which the menus go

export function addFullscreenButton(media) {
  if (!document.fullscreenEnabled || media.localName !== "video") return;
  const frame = media.parentElement;
  const menus = frame.querySelector(".mr-choices");
  media.setAttribute("controlslist", "nofullscreen");
  const button = menus.appendChild(document.createElement("button"));
  button.type = "button";
  menus.hidden = false;
  let timer = 0;

  const isFull = () => document.fullscreenElement === frame;
  const wakeUp = () => {
    frame.classList.remove("mr-idle");
    clearTimeout(timer);
    if (isFull()) timer = setTimeout(() => frame.classList.toggle("mr-idle", !media.paused), IDLE);
  };
  const label = () => {
    button.textContent = isFull() ? "Leave full screen" : "Full screen";
    wakeUp();
  };
  button.addEventListener("click", () => (isFull() ? document.exitFullscreen() : frame.requestFullscreen()));
  document.addEventListener("fullscreenchange", label);
  for (const event of ["play", "pause"])
    media.addEventListener(event, () => frame.classList.toggle("mr-playing", !media.paused));
  for (const event of ["pointermove", "pointerdown", "keydown", "focusin"]) frame.addEventListener(event, wakeUp);
  label();
}
