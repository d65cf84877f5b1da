// The transcript of a file's page: its cues, the one that is heard now, and the words that are searched for.
// A cue is one text node, however many words it has; a place in it leads to its word. So the page stays fast with hours.

import { clock } from "../uploads/clock.js";
import { FollowingBox, lastBefore } from "./following_box.js";
import { TextSearch } from "./transcript_search.js";

const PIECE = 250; // cues that are added at once
const MATCHES = "mr-matches", MATCH = "mr-match", WORD = "mr-word"; // names of ::highlight in player.css

class Transcript {
  constructor(panel, media) {
    Object.assign(this, { panel, media, cues: [], rows: [] });
    this.box = panel.querySelector(".mr-cues");
    this.following = new FollowingBox(this.box);
    this.form = panel.querySelector("form");
    this.field = this.form.querySelector("input");
    this.state = panel.querySelector("[data-state]");
    this.gone = new AbortController();
  }

  async begin() {
    const { signal } = this.gone;
    try {
      const answer = await fetch(this.panel.dataset.transcript, { signal, priority: "low" });
      if (!answer.ok) throw new Error(answer.status);
      const { cues, language } = await answer.json();
      this.cues = cues.map(({ start, end, text, words }) => ({ start, end, text: String(text), words }));
      this.starts = cues.map(({ start }) => start);
      if (language) this.box.lang = language;
    } catch {
      return this.say("The transcript cannot be read.");
    }
    if (!this.cues.length) return this.say("No speech was found.");
    this.box.hidden = this.form.hidden = false;
    this.listen(signal);
    await this.addRows(signal);
  }

  say(words) {
    this.state.textContent = words;
    this.state.hidden = false;
  }

  async addRows(signal) {
    while (this.rows.length < this.cues.length && !signal.aborted) {
      const piece = document.createDocumentFragment();
      for (const cue of this.cues.slice(this.rows.length, this.rows.length + PIECE)) piece.append(this.rowOf(cue));
      this.box.append(piece);
      if (this.rows.length <= PIECE) this.rows[0].querySelector("button").tabIndex = 0;
      this.follow();
      await new Promise((resolve) => setTimeout(resolve));
    }
    if (this.field.value) this.search();
  }

  rowOf(cue) {
    const row = document.createElement("li");
    const time = row.appendChild(document.createElement("button"));
    Object.assign(time, { type: "button", tabIndex: -1, textContent: clock(cue.start) });
    const text = row.appendChild(document.createElement("p"));
    Object.assign(text, { dir: "auto", textContent: cue.text });
    row.dataset.number = this.rows.length;
    this.rows.push(row);
    return row;
  }

  listen(signal) {
    const { media, box, form, field } = this;
    media?.addEventListener("seeking", () => this.following.playerMoved(), { signal });
    for (const event of ["timeupdate", "seeking"]) media?.addEventListener(event, () => this.follow(), { signal });
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("keydown", (event) => this.following.key(event, this.rows, event.target.closest("li")));
    form.addEventListener("submit", (event) => event.preventDefault());
    field.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search(), 150);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.step(event.shiftKey ? -1 : 1);
    });
    for (const button of form.querySelectorAll("[data-step]"))
      button.addEventListener("click", () => this.step(Number(button.dataset.step)));
  }

  // Mark the cue and the word of the player's time.
  follow() {
    const time = this.media?.currentTime ?? 0;
    const number = lastBefore(this.starts, time);
    const row = this.rows[number];
    if (row !== this.current) {
      this.current?.removeAttribute("aria-current");
      this.current = row;
      row?.setAttribute("aria-current", "true");
      if (row && !this.following.isRead) this.following.show(row);
    }
    const cue = this.cues[number];
    if (row) highlight(WORD, cue.start <= time && time < cue.end ? wordAt(cue, time, textOf(row)) : []);
  }

  click(event) {
    const row = event.target.closest("li");
    if (!row || !getSelection().isCollapsed) return;
    const cue = this.cues[row.dataset.number];
    const at = event.target.closest("button") ? null : placeOf(event, textOf(row));
    this.goTo(at === null ? cue.start : startOfWord(cue, at));
    this.following.focusOn(row, false);
  }

  goTo(time) {
    if (!this.media) return;
    this.media.currentTime = time;
    this.follow();
  }

  search() {
    this.text ??= new TextSearch(this.cues.map(({ text }) => text));
    this.matches = this.text.find(this.field.value);
    this.at = -1;
    highlight(MATCHES, this.matches.flatMap((match) => this.rangesOf(match)));
    highlight(MATCH, []);
    for (const button of this.form.querySelectorAll("button")) button.disabled = !this.matches.length;
    this.step(1);
  }

  step(by) {
    const { length } = (this.matches ??= []);
    if (length) {
      this.at = (this.at + by + length) % length;
      const match = this.matches[this.at];
      highlight(MATCH, this.rangesOf(match));
      this.following.reads();
      if (this.rows[match[0].number]) this.following.show(this.rows[match[0].number]);
    }
    const found = length ? `${this.at + 1} of ${length}` : "No match";
    this.form.querySelector("output").textContent = this.field.value.trim() ? found : "";
  }

  rangesOf(match) {
    const shown = match.filter(({ number }) => this.rows[number]);
    return shown.map(({ number, from, to }) => rangeOf(textOf(this.rows[number]), from, to));
  }

  end() {
    this.gone.abort();
    for (const name of [MATCHES, MATCH, WORD]) highlight(name, []);
  }
}

const textOf = (row) => row.lastElementChild.firstChild;

function rangeOf(node, from, to) {
  return new StaticRange({ startContainer: node, startOffset: from, endContainer: node, endOffset: to });
}

function highlight(name, ranges) {
  if (!globalThis.CSS?.highlights) return; // an older browser: without marks
  if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
  else CSS.highlights.delete(name);
}

// The texts of the words, one after another, are the text of the cue, which is without the space at its beginning.
function placesOf({ words, text }) {
  const all = words.map((word) => word.text).join("");
  let to = -Math.max(0, all.length - text.length);
  return words.map(({ text: { length } }) => (to += length));
}

function startOfWord(cue, at) {
  const number = cue.words?.length ? placesOf(cue).findIndex((to) => at <= to) : -1;
  return number < 0 ? (cue.words?.at(-1)?.start ?? cue.start) : cue.words[number].start;
}

function wordAt(cue, time, node) {
  if (!node || !cue.words?.length) return [];
  const number = lastBefore(cue.words.map(({ start }) => start), time);
  const places = placesOf(cue);
  const from = Math.max(0, places[number - 1] ?? 0), to = Math.min(places[number], node.length);
  const spaces = cue.text.slice(from, to).match(/^\s*/)[0].length;
  return from + spaces < to ? [rangeOf(node, from + spaces, to)] : [];
}

// Which place of a text is pointed at.
function placeOf({ clientX, clientY }, node) {
  if (document.caretPositionFromPoint) {
    const { offsetNode, offset } = document.caretPositionFromPoint(clientX, clientY) ?? {};
    return offsetNode === node ? offset : null;
  }
  const range = document.caretRangeFromPoint?.(clientX, clientY);
  return range?.startContainer === node ? range.startOffset : null;
}

let shown = null;

function begin() {
  const panel = document.querySelector("[data-transcript]");
  if (panel === (shown?.panel ?? null)) return;
  shown?.end();
  shown = panel && new Transcript(panel, document.querySelector("#mr-player :is(video, audio)"));
  shown?.begin();
}

document.addEventListener("mr-panels", begin);
begin();
