// The table of finds. It holds a piece of them, which grows by a button, and moves along with the player.

import { clock } from "../uploads/clock.js";
import { element, SheetPicture } from "../uploads/sheet_picture.js";
import { percent } from "./find_lanes.js";
import { FollowingBox, lastBefore } from "./following_box.js";
import { colourOf } from "./finds_loading.js";

const PIECE = 100; // rows that are shown, and added, at once
const ABOVE = 5; // rows before that of the player, where a piece begins with it
const WIDEST = 96, HIGHEST = 48; // pixels of a crop
const SHARE = 0.18; // of the box that a crop may take

export class FindTable {
  constructor(box, detectors, goTo) {
    Object.assign(this, { detectors, goTo, finds: [], starts: [], from: 0, rows: [] });
    this.box = box;
    this.body = box.querySelector("tbody");
    this.following = new FollowingBox(box);
    [this.earlier, this.more] = box.querySelectorAll("[data-more]");
    this.earlier.addEventListener("click", () => this.grow(-PIECE));
    this.more.addEventListener("click", () => this.grow(PIECE));
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("keydown", (event) => this.following.key(event, this.rows, event.target.closest("tbody tr")));
  }

  show(finds, time) {
    this.finds = finds;
    this.starts = finds.map(({ start }) => start);
    this.piece(0);
    this.box.scrollTop = 0;
    this.follow(time);
  }

  // Show the rows from a number on.
  piece(from) {
    this.from = from;
    this.rows = this.finds.slice(from, from + PIECE).map((find, number) => this.rowOf(find, from + number));
    this.body.replaceChildren(...this.rows);
    if (this.rows.length) this.following.focusOn(this.rows[0], false);
    this.label();
  }

  grow(by) {
    const to = this.from + this.rows.length;
    const from = Math.max(0, this.from + by);
    const added = this.finds.slice(by < 0 ? from : to, by < 0 ? this.from : to + by);
    const rows = added.map((find, number) => this.rowOf(find, (by < 0 ? from : to) + number));
    if (by < 0) {
      this.body.prepend(...rows);
      this.rows.unshift(...rows);
      this.from = from;
    } else {
      this.body.append(...rows);
      this.rows.push(...rows);
    }
    this.label();
    this.following.focusOn(by < 0 ? rows.at(-1) : rows[0]);
  }

  label() {
    const after = this.finds.length - this.from - this.rows.length;
    this.earlier.hidden = !this.from;
    this.more.hidden = !after;
    this.earlier.textContent = `Show ${Math.min(PIECE, this.from)} earlier ones`;
    this.more.textContent = `Show ${Math.min(PIECE, after)} more of ${after}`;
    this.box.querySelector("table").setAttribute("aria-rowcount", this.finds.length + 1);
  }

  rowOf(find, number) {
    const row = document.createElement("tr");
    row.dataset.number = number;
    row.setAttribute("aria-rowindex", number + 2);
    const crop = row.insertCell();
    if (find.crop) new SheetPicture(crop).draw(find.crop, Math.min(WIDEST, SHARE * this.box.clientWidth), HIGHEST);
    const what = row.insertCell();
    const link = what.appendChild(element("a", "mr-link"));
    Object.assign(link, { href: `?t=${find.start}`, tabIndex: -1, dir: "auto", textContent: find.name });
    const kind = what.appendChild(document.createElement("small"));
    kind.textContent = find.title;
    kind.style.setProperty("--mr-colour", colourOf(this.detectors.indexOf(find.detector)));
    row.insertCell().textContent = percent(find);
    row.insertCell().textContent = tenths(find.start);
    row.insertCell().textContent = tenths(find.end);
    return row;
  }

  // Mark what is on screen. If the find of this time is not in the piece, show another piece.
  follow(time) {
    const number = lastBefore(this.starts, time);
    const { following } = this;
    const isShown = () => number >= this.from && number < this.from + this.rows.length;
    if (!isShown() && this.finds.length && !following.isRead) this.piece(Math.max(0, number - ABOVE));
    for (const row of this.rows) {
      const { start, end } = this.finds[row.dataset.number];
      if (start <= time + 0.001 && time <= end) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    const row = isShown() ? this.rows[number - this.from] : undefined;
    if (row && row !== this.last && !following.isRead) following.show(row);
    this.last = row;
  }

  click(event) {
    const row = event.target.closest("tbody tr");
    const opens = event.ctrlKey || event.metaKey || event.shiftKey; // a new tab or window
    if (!row || opens || !getSelection().isCollapsed) return;
    event.preventDefault();
    this.goTo(this.finds[row.dataset.number].start);
    this.following.focusOn(row, false);
  }
}

function tenths(seconds) {
  return `${clock(seconds)}.${Math.floor(10 * (seconds % 1) + 1e-6)}`;
}
