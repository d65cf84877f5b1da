// The finds of a file's page: a time line below the player, boxes over its picture, and a table. One filter is for all.

import { FindBoxes } from "./find_boxes.js";
import { FindLanes } from "./find_lanes.js";
import { FindTable } from "./find_table.js";
import { colourOf, fold, loadFinds } from "./finds_loading.js";

class FindsPanel {
  constructor(panel, media) {
    Object.assign(this, { panel, media, hidden: new Set() });
    this.sources = JSON.parse(panel.dataset.finds);
    this.places = [...document.querySelectorAll("#mr-player [data-detector]")];
    this.detectors = this.places.map(({ dataset }) => dataset.detector);
    this.form = panel.querySelector("form");
    this.state = panel.querySelector("[data-state]");
    this.gone = new AbortController();
  }

  async begin() {
    const { signal } = this.gone;
    try {
      Object.assign(this, await loadFinds(this.sources, signal));
    } catch {
      return signal.aborted || this.say("The finds cannot be read.");
    }
    if (!this.finds.length) this.say("Nothing was found.");
    this.form.hidden = this.panel.querySelector(".mr-finds").hidden = !this.finds.length;
    const goTo = (time) => this.goTo(time);
    if (this.media) this.lanes = new FindLanes(this.places[0].parentElement, this.media, this.duration, goTo);
    if (this.media?.localName === "video") this.boxes = new FindBoxes(this.media, this.detectors);
    this.table = new FindTable(this.panel.querySelector(".mr-finds"), this.detectors, goTo);
    this.offer();
    this.listen(signal);
    this.filter();
  }

  say(words) {
    this.state.textContent = words;
    this.state.hidden = false;
  }

  // Show what there is to choose.
  offer() {
    const { form, finds, detectors } = this;
    for (const box of form.querySelectorAll("[name=detector]"))
      box.parentElement.style.setProperty("--mr-colour", colourOf(detectors.indexOf(box.value)));
    form.querySelector(".mr-find-detectors").hidden = detectors.length < 2;
    form.elements.confidence.parentElement.hidden = finds.every(({ confidence }) => confidence >= 1);
    form.elements.boxes.parentElement.hidden = !this.boxes || finds.every(({ path }) => !path.length);
  }

  listen(signal) {
    const { media, form } = this;
    media?.addEventListener("seeking", () => this.table.following.playerMoved(), { signal });
    for (const event of ["timeupdate", "seeking"]) media?.addEventListener(event, () => this.follow(), { signal });
    for (const event of ["durationchange", "loadedmetadata"])
      media?.addEventListener(event, () => this.lanes.draw(), { signal });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.filter(), 100);
    });
  }

  filter() {
    const { elements } = this.form;
    const words = fold(elements.words.value);
    const least = Number(elements.confidence.value) / 100;
    const hidden = new Set([...this.form.querySelectorAll("[name=detector]:not(:checked)")].map(({ value }) => value));
    const found = this.finds.filter(
      (find) => !hidden.has(find.detector) && find.confidence >= least && find.folded.includes(words),
    );
    elements.least.value = `${elements.confidence.value} %`;
    elements.count.value = found.length === this.finds.length ? `${found.length}` : `${found.length} of ${this.finds.length}`;
    this.lanes?.show(found, hidden);
    this.boxes?.show(found, elements.boxes.checked);
    this.table.show(found, this.media?.currentTime ?? 0);
  }

  follow() {
    const { currentTime } = this.media;
    this.lanes.follow(currentTime);
    this.table.follow(currentTime);
  }

  goTo(time) {
    if (!this.media) return;
    this.media.currentTime = time;
    this.follow();
    const { top, bottom } = this.media.getBoundingClientRect();
    if (bottom < 0 || top > innerHeight) this.media.scrollIntoView({ block: "nearest" });
  }

  end() {
    this.gone.abort();
    clearTimeout(this.timer);
    this.lanes?.end();
    this.boxes?.end();
  }
}

let shown = null;

function begin() {
  const panel = document.querySelector("[data-finds]");
  if (panel === (shown?.panel ?? null)) return;
  shown?.end();
  shown = panel && new FindsPanel(panel, document.querySelector("#mr-player :is(video, audio)"));
  shown?.begin();
}

document.addEventListener("mr-panels", begin);
begin();
