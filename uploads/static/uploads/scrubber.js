// A time line below the player: a waveform or a bar with the position, and the picture of the time that is pointed at.
// A press goes there; so do the arrow keys.

import { clock } from "./clock.js";
import { ask } from "./playlists.js";
import { element, SheetPicture } from "./sheet_picture.js";

const STEP = 5; // seconds for an arrow key
const LARGE_STEP = 0.1; // of the duration for a page key
const WIDEST = 240; // pixels of a picture
const STAYS = 1500; // ms that a picture is shown after a key

export function showScrubber(media) {
  const place = document.querySelector("#mr-player [data-scrubber]");
  if (place && !place.childElementCount) new Scrubber(place, media);
}

class Scrubber {
  constructor(place, media) {
    Object.assign(this, { place, media, cues: [] });
    const lane = (name) => place.appendChild(element("div", `mr-lane ${name}`));
    lane("mr-whole");
    lane("mr-done");
    this.line = lane("mr-line");
    this.preview = place.appendChild(element("div", "mr-preview"));
    this.picture = new SheetPicture(this.preview);
    this.time = this.preview.appendChild(element("div", "mr-preview-time"));
    this.hide();
    for (const [name, value] of Object.entries({ role: "slider", tabindex: "0", "aria-label": "Time line", "aria-valuemin": "0" }))
      place.setAttribute(name, value);
    this.listen();
    this.showWaveform();
    this.showPosition();
    place.hidden = false;
  }

  listen() {
    const { place, media } = this;
    for (const event of ["timeupdate", "seeking", "durationchange", "ended"])
      media.addEventListener(event, () => this.showPosition());
    place.addEventListener("pointerenter", () => this.loadStoryboard());
    place.addEventListener("pointermove", (event) => this.point(this.timeAt(event)));
    place.addEventListener("pointerleave", () => this.hide());
    place.addEventListener("pointercancel", () => this.hide());
    place.addEventListener("pointerdown", (event) => event.button === 0 && this.press(event));
    place.addEventListener("pointerup", (event) => this.release(event));
    place.addEventListener("focus", () => this.loadStoryboard());
    place.addEventListener("blur", () => this.hide());
    place.addEventListener("keydown", (event) => this.key(event));
  }

  // The waveform is as long as the file, also while a rendition that grows is shorter.
  get duration() {
    const played = Number.isFinite(this.media.duration) ? this.media.duration : 0;
    return Math.max(played, Number(this.place.dataset.duration) || 0);
  }

  timeAt({ clientX }) {
    const { left, width } = this.place.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / width)) * this.duration;
  }

  press(event) {
    this.isPressed = true;
    this.place.setPointerCapture(event.pointerId);
    this.point(this.timeAt(event));
  }

  release(event) {
    if (!this.isPressed) return;
    this.isPressed = false;
    this.goTo(this.timeAt(event));
    if (event.pointerType !== "mouse") this.hide();
  }

  key(event) {
    const { duration } = this;
    const now = this.media.currentTime;
    const step = Math.min(STEP, duration / 20);
    const times = {
      ArrowLeft: now - step, ArrowDown: now - step, ArrowRight: now + step, ArrowUp: now + step,
      PageDown: now - LARGE_STEP * duration, PageUp: now + LARGE_STEP * duration, Home: 0, End: duration,
    }; // prettier-ignore
    if (event.key === "Escape") return this.hide();
    if (!(event.key in times) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const time = Math.min(duration, Math.max(0, times[event.key]));
    this.goTo(time);
    this.point(time);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.hide(), STAYS);
  }

  goTo(time) {
    if (!this.duration) return;
    this.media.currentTime = time;
    this.showPosition(time);
  }

  showPosition(time = this.media.currentTime) {
    const { duration, place } = this;
    place.style.setProperty("--mr-at", `${duration ? (100 * time) / duration : 0}%`);
    place.setAttribute("aria-valuemax", Math.round(duration));
    place.setAttribute("aria-valuenow", Math.round(time));
    place.setAttribute("aria-valuetext", `${clock(time)} of ${clock(duration)}`);
  }

  showWaveform() {
    const { waveform } = this.place.dataset;
    if (!waveform) return;
    const picture = new Image();
    picture.addEventListener("load", () => {
      this.place.style.setProperty("--mr-wave", `url("${picture.src}")`);
      this.place.classList.add("mr-has-wave");
      const poster = document.querySelector("#mr-player [data-poster]");
      if (poster) poster.hidden = true;
    });
    picture.src = waveform;
  }

  async loadStoryboard() {
    const { storyboard } = this.place.dataset;
    if (!storyboard || this.isLoading) return;
    this.isLoading = true;
    try {
      this.cues = cuesOf(await ask(storyboard), storyboard);
    } catch {
      this.isLoading = false; // the next time may succeed
    }
    if (this.pointed !== undefined) this.point(this.pointed);
  }

  point(time) {
    const { duration, place, preview, line } = this;
    if (!duration) return;
    this.pointed = time;
    const cue = this.cues.findLast(({ start }) => start <= time) ?? this.cues[0];
    this.picture.frame.hidden = !cue;
    if (cue) this.picture.draw(cue, Math.min(WIDEST, place.clientWidth));
    this.time.textContent = clock(time);
    preview.hidden = line.hidden = false;
    const at = (time / duration) * place.clientWidth;
    const left = Math.min(place.clientWidth - preview.offsetWidth, Math.max(0, at - preview.offsetWidth / 2));
    preview.style.left = `${left}px`;
    line.style.left = `${at}px`;
  }

  hide() {
    this.pointed = undefined;
    this.preview.hidden = this.line.hidden = true;
    this.isPressed = false;
  }
}

// The cues of a storyboard: when each picture is shown, and where it is.
function cuesOf(vtt, base) {
  const cues = vtt.matchAll(/^(?:(\d+):)?(\d\d):(\d\d\.\d{3}) --> .*\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm);
  return [...cues].map(([, hours = 0, minutes, seconds, name, ...area]) => {
    const [x, y, width, height] = area.map(Number);
    const sheet = new URL(name, new URL(base, location.href)).href;
    return { start: 3600 * hours + 60 * minutes + Number(seconds), sheet, x, y, width, height };
  });
}
