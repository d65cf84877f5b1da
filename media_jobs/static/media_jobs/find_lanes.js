// The time line of finds below the player: a lane for each detector, drawn on one canvas each, however many finds there
// are. A click goes to the find that is pointed at, the arrow keys go from find to find.

import { clock } from "../uploads/clock.js";
import { element, SheetPicture } from "../uploads/sheet_picture.js";
import { lastBefore } from "./following_box.js";
import { colourOf } from "./finds_loading.js";

const NEAR = 4; // pixels from a find that still point at it
const THINNEST = 2; // pixels
const WIDEST = 240, HIGHEST = 120; // pixels of a crop
const AGAIN = 1; // seconds after the start of a find while it plays, after which "back" leads to that start

export class FindLanes {
  constructor(place, media, duration, goTo) {
    Object.assign(this, { place, media, known: duration, goTo });
    this.lanes = [...place.querySelectorAll("[data-detector]")].map((lane, number) => ({
      lane, canvas: lane.querySelector("canvas"), finds: [], starts: [], colour: colourOf(number),
    })); // prettier-ignore
    this.preview = place.appendChild(element("div", "mr-preview"));
    this.picture = new SheetPicture(this.preview);
    this.words = this.preview.appendChild(element("div", "mr-preview-time"));
    this.preview.hidden = true;
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(place);
    for (const one of this.lanes) this.listen(one);
  }

  listen(one) {
    const { lane, canvas } = one;
    canvas.addEventListener("pointermove", (event) => this.point(one, event));
    for (const event of ["pointerleave", "pointercancel"]) canvas.addEventListener(event, () => this.hide());
    canvas.addEventListener("click", (event) => {
      const find = this.findAt(one, event);
      this.goTo(find ? find.start : this.timeAt(event));
    });
    lane.addEventListener("keydown", (event) => this.key(one, event));
    lane.addEventListener("blur", () => this.hide());
  }

  // As long as the line above it.
  get duration() {
    const played = Number.isFinite(this.media.duration) ? this.media.duration : 0;
    return Math.max(played, this.known);
  }

  show(finds, hidden) {
    for (const one of this.lanes) {
      const { detector } = one.lane.dataset;
      one.lane.hidden = hidden.has(detector);
      one.finds = finds.filter((find) => find.detector === detector);
      one.starts = one.finds.map(({ start }) => start);
      one.lane.querySelector("small").textContent = one.finds.length || "none";
    }
    this.draw();
    this.follow(this.media.currentTime);
  }

  draw() {
    const { duration } = this;
    const { clientWidth: width } = this.place;
    for (const { canvas, finds, colour } of duration ? this.lanes : []) {
      const scale = globalThis.devicePixelRatio || 1;
      const height = canvas.clientHeight;
      Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
      const paper = canvas.getContext("2d");
      paper.scale(scale, scale);
      paper.fillStyle = colour;
      for (const { start, end } of finds) {
        const [from, to] = [start, end].map((time) => (time / duration) * width);
        paper.fillRect(from, 0, Math.max(THINNEST, to - from - 1), height); // a gap of 1 px to the next scene
      }
    }
  }

  follow(time) {
    const { duration, place, lanes } = this;
    place.style.setProperty("--mr-at", `${duration ? (100 * time) / duration : 0}%`);
    for (const { lane, finds, starts } of lanes) {
      const number = lastBefore(starts, time);
      const [find] = finds.slice(number, number + 1);
      lane.setAttribute("aria-valuemax", finds.length);
      lane.setAttribute("aria-valuenow", find && find.start <= time + 0.001 ? number + 1 : 0);
      lane.setAttribute("aria-valuetext", find ? `${find.name}, ${span(find)}, ${number + 1} of ${finds.length}` : "None");
    }
  }

  timeAt({ clientX }) {
    const { left, width } = this.place.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / width)) * this.duration;
  }

  // Of several, the one that began last: what is above the others.
  findAt({ finds }, event) {
    const time = this.timeAt(event);
    const near = (NEAR * this.duration) / (this.place.clientWidth || 1);
    const inside = finds.findLast(({ start, end }) => start <= time && time < end);
    return inside ?? finds.findLast(({ start, end }) => start - near <= time && time <= end + near);
  }

  point(one, event) {
    const find = this.findAt(one, event);
    one.canvas.classList.toggle("mr-pointed", Boolean(find));
    if (find) this.showPreview(one, find);
    else this.hide();
  }

  showPreview({ lane }, find) {
    const { preview, picture, words, place } = this;
    picture.frame.hidden = !find.crop;
    if (find.crop) picture.draw(find.crop, Math.min(WIDEST, place.clientWidth), HIGHEST);
    words.textContent = [find.name, percent(find), span(find)].filter(Boolean).join(" · ");
    preview.hidden = false;
    const at = (Math.min(find.start, this.duration) / (this.duration || 1)) * place.clientWidth;
    const left = Math.min(place.clientWidth - preview.offsetWidth, Math.max(0, at - preview.offsetWidth / 2));
    Object.assign(preview.style, { left: `${left}px`, bottom: `${place.clientHeight - lane.offsetTop}px` });
  }

  hide() {
    this.preview.hidden = true;
  }

  key(one, event) {
    const { finds, starts } = one;
    if (event.key === "Escape") return this.hide();
    if (!finds.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const { currentTime: time, paused } = this.media;
    const after = starts.findIndex((start) => start > time + 0.01);
    const next = after < 0 ? finds.length - 1 : after;
    const before = starts.findLastIndex((start) => start < time - (paused ? 0.01 : AGAIN));
    const number = {
      ArrowRight: next, ArrowUp: next, ArrowLeft: before, ArrowDown: before, PageUp: next + 9, PageDown: before - 9,
      Home: 0, End: finds.length - 1,
    }[event.key]; // prettier-ignore
    if (number === undefined) return;
    event.preventDefault();
    const find = finds[Math.min(finds.length - 1, Math.max(0, number))];
    this.goTo(find.start);
    this.showPreview(one, find);
  }

  end() {
    this.resized.disconnect();
    this.preview.remove();
  }
}

// Nothing for events that are certain, such as scenes.
export function percent({ confidence, path }) {
  return confidence < 1 || path.length ? `${Math.floor(100 * confidence)} %` : "";
}

function span({ start, end }) {
  return clock(start) === clock(end) ? clock(start) : `${clock(start)}–${clock(end)}`;
}
