// A box of rows that scrolls along with the player, except while the reader is in it. One row can be reached by Tab, by
// the link or button in it; the arrow keys lead to the others.

const READS = 4000; // ms for which the box stays where the reader has scrolled it

export class FollowingBox {
  constructor(box) {
    Object.assign(this, { box, isPointedAt: false, readAt: -Infinity });
    box.addEventListener("pointerenter", () => { this.isPointedAt = true; }); // prettier-ignore
    box.addEventListener("pointerleave", () => { this.isPointedAt = false; }); // prettier-ignore
    box.addEventListener("scroll", () => {
      if (Math.abs(box.scrollTop - this.scrolledTo) > 1) this.reads();
    });
  }

  // The box stays where the reader looks.
  get isRead() {
    const focused = this.box.contains(document.activeElement) && document.activeElement.matches(":focus-visible");
    return this.isPointedAt || focused || performance.now() - this.readAt < READS;
  }

  reads() {
    this.readAt = performance.now();
  }

  // Who moves the player wants to see what is there, wherever the box was scrolled before.
  playerMoved() {
    this.readAt = -Infinity;
  }

  // Scroll the box alone: scrollIntoView would move the page.
  show(row) {
    const { box } = this;
    const above = row.getBoundingClientRect().top - box.getBoundingClientRect().top;
    box.scrollTop += above - (box.clientHeight - row.offsetHeight) / 2;
    this.scrolledTo = box.scrollTop;
  }

  // Go from this row to another, if the key says so.
  key(event, rows, row) {
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const number = rows.indexOf(row);
    const next = { ArrowUp: number - 1, ArrowDown: number + 1, PageUp: number - 10, PageDown: number + 10, Home: 0, End: rows.length - 1 }[event.key]; // prettier-ignore
    if (next === undefined) return;
    event.preventDefault();
    this.focusOn(rows[Math.min(rows.length - 1, Math.max(0, next))]);
  }

  focusOn(row, moves = true) {
    for (const before of this.box.querySelectorAll("[tabindex='0']")) before.tabIndex = -1;
    const target = row.querySelector("[tabindex]");
    target.tabIndex = 0;
    if (!moves) return;
    target.focus({ preventScroll: true });
    this.show(row);
  }
}

// The number of the last one that begins before or at a time; the first one before all.
export function lastBefore(starts, time) {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= time + 0.001) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
