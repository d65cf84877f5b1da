// Boxes over the picture, around the finds that are on screen. They move along the path of each find between its
// sightings. Their places are shares of the picture, which has black bars beside it where its shape differs.

import { element } from "../uploads/sheet_picture.js";
import { lastBefore } from "./following_box.js";
import { colourOf } from "./finds_loading.js";

const MOST = 40; // at a time
const LONGER = 0.06; // seconds before and after a find: players stop beside the frame they are sent to

export class FindBoxes {
  constructor(media, detectors) {
    Object.assign(this, { media, detectors, finds: [], isOn: true });
    this.gone = new AbortController();
    this.area = media.parentElement.insertBefore(element("div", "mr-boxes"), media.nextSibling);
    this.area.setAttribute("aria-hidden", "true");
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(media);
    const { signal } = this.gone;
    for (const event of ["loadedmetadata", "resize"]) media.addEventListener(event, () => this.fit(), { signal });
    for (const event of ["seeked", "timeupdate"]) media.addEventListener(event, () => this.drawNow(), { signal });
    this.fit();
    this.drawFrames();
  }

  show(finds, isOn) {
    this.finds = finds.filter(({ path }) => path.length);
    this.isOn = isOn;
    this.drawNow();
  }

  // Lay the area over the picture, as `object-fit: contain` places it.
  fit() {
    const { media, area } = this;
    const { clientWidth, clientHeight, videoWidth, videoHeight, offsetLeft, offsetTop } = media;
    if (!videoWidth || !videoHeight) return;
    const scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight);
    const [width, height] = [videoWidth * scale, videoHeight * scale];
    Object.assign(area.style, {
      left: `${offsetLeft + (clientWidth - width) / 2}px`, top: `${offsetTop + (clientHeight - height) / 2}px`,
      width: `${width}px`, height: `${height}px`,
    }); // prettier-ignore
  }

  // With each frame that is shown, where browsers say so; else the events above are enough to see it.
  drawFrames() {
    const { media, gone } = this;
    if (!media.requestVideoFrameCallback) return;
    const draw = (_, { mediaTime }) => {
      if (gone.signal.aborted) return;
      this.draw(mediaTime);
      media.requestVideoFrameCallback(draw);
    };
    media.requestVideoFrameCallback(draw);
  }

  drawNow() {
    this.draw(this.media.currentTime);
  }

  draw(time) {
    const shown = this.isOn ? this.finds.filter(({ start, end }) => start - LONGER <= time && time <= end + LONGER) : [];
    const { area } = this;
    for (const [number, find] of shown.slice(0, MOST).entries()) this.place(area.children[number] ?? addBox(area), find, time);
    while (area.children.length > Math.min(shown.length, MOST)) area.lastElementChild.remove();
  }

  place(box, find, time) {
    const [x, y, width, height] = boxAt(find, time).map((share) => `${100 * share}%`);
    Object.assign(box.style, { left: x, top: y, width, height });
    box.style.setProperty("--mr-colour", colourOf(this.detectors.indexOf(find.detector)));
    box.firstElementChild.textContent = find.text || find.label;
  }

  end() {
    this.gone.abort();
    this.resized.disconnect();
    this.area.remove();
  }
}

function addBox(area) {
  const box = area.appendChild(element("div", "mr-box"));
  box.appendChild(document.createElement("span")).dir = "auto";
  return box;
}

// Between two sightings it moves from one to the other.
function boxAt({ path, times }, time) {
  const number = lastBefore(times, time);
  const [[from, ...box], [to, ...next]] = [path[number], path[number + 1] ?? path[number]];
  const share = to > from ? Math.min(1, Math.max(0, (time - from) / (to - from))) : 0;
  return box.map((value, index) => value + (next[index] - value) * share);
}
