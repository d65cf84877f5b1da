// A button for full screen that takes the menus along: the browser's own would show the picture without them.

const IDLE = 3000; // ms without a move of the pointer, after which the menus go

export function addFullscreenButton(media, menus) {
  const frame = menus.parentElement;
  if (!document.fullscreenEnabled || media.localName !== "video") return;
  media.setAttribute("controlslist", "nofullscreen");
  const button = document.createElement("button");
  button.type = "button";
  menus.append(button);
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
  for (const event of ["pointermove", "pointerdown", "keydown", "focusin"]) frame.addEventListener(event, wakeUp);
  label();
}
