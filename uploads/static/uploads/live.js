"use strict";
// Keeps lists and pages up to date: polls for rows marked data-active every two seconds, less often on a hidden page,
// and for new rows. Text from users is set as textContent, never as HTML.

const ACTIVE = 2000;
const IDLE = 10000;
const HIDDEN = 30000;

class Live {
  constructor(place) {
    this.url = place.dataset.url;
    this.since = place.dataset.since;
    this.news = document.getElementById("mr-new");
    this.timer = 0;
    document.addEventListener("visibilitychange", () => this.wait(document.hidden ? HIDDEN : 0));
    this.wait(this.pause());
  }

  activeIds() {
    return [...new Set([...document.querySelectorAll("[data-active]")].map((found) => found.dataset.liveId))];
  }

  pause() {
    if (document.hidden) return HIDDEN;
    return this.activeIds().length ? ACTIVE : IDLE;
  }

  wait(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), milliseconds);
  }

  async ask() {
    const ids = this.activeIds();
    if (ids.length || this.since) {
      const query = new URLSearchParams(ids.map((id) => ["id", id]));
      if (this.since) query.set("since", this.since);
      try {
        const answer = await fetch(`${this.url}?${query}`, { headers: { Accept: "application/json" } });
        if (answer.redirected || answer.status === 403) return; // signed out
        if (answer.ok) this.show(await answer.json(), ids);
      } catch (error) {
        console.info("Millrace does not answer. Trying again.", error.message);
      }
    } else if (!this.news) return;
    this.wait(this.pause());
  }

  show({ rows, new: count }, asked) {
    for (const id of asked) {
      const row = rows[id] || { state: "deleted", label: "deleted", active: false, message: "" };
      for (const place of document.querySelectorAll(`[data-live-id="${id}"]`)) show(place, row);
      for (const place of document.querySelectorAll(`[data-live-id="${id}"][data-live-if]`)) place.hidden = !row[place.dataset.liveIf];
      if (!row.active) document.dispatchEvent(new CustomEvent("mr-finished", { detail: { id, row } }));
    }
    if (this.news && count) {
      this.news.hidden = false;
      this.news.firstElementChild.textContent = count === 1 ? "1 new row. Show it" : `${count} new rows. Show them`;
    }
  }
}

function show(place, row) {
  const name = place.dataset.live;
  if (name === "state") {
    place.dataset.state = row.state;
    place.textContent = row.label;
    place.toggleAttribute("data-active", row.active);
  } else if (name === "progress") {
    if (row.progress === null || row.progress === undefined) place.removeAttribute("value");
    else place.value = row.progress;
  } else if (name in row) place.textContent = row[name] ?? "";
  if (`${name}_url` in row) {
    if (row[`${name}_url`]) place.href = row[`${name}_url`];
    else place.removeAttribute("href");
  }
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // navigator.clipboard exists only on HTTPS and localhost.
  const place = document.body.appendChild(document.createElement("textarea"));
  place.value = text;
  place.select();
  document.execCommand("copy");
  place.remove();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  await copy(button.dataset.copy ?? document.getElementById(button.dataset.copyFrom).textContent);
  button.classList.add("mr-copied");
  setTimeout(() => button.classList.remove("mr-copied"), 1200);
});

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("mr-live");
  if (place) new Live(place);
});

// The server renders the dashboard and escapes text from users. While the page is visible, it is replaced regularly.
const DASHBOARD = 4000;

class Dashboard {
  constructor(place) {
    this.place = place;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => document.hidden || this.wait(0));
    this.wait(DASHBOARD);
  }

  wait(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.reload(), milliseconds);
  }

  async reload() {
    try {
      const answer = document.hidden ? null : await fetch(this.place.dataset.url);
      if (answer && (answer.redirected || answer.status === 403)) return; // signed out
      // Not while an element in it has the keyboard focus, which would be lost.
      if (answer && answer.ok && !this.place.contains(document.activeElement)) {
        this.place.innerHTML = await answer.text();
      }
    } catch (error) {
      console.info("Millrace does not answer. Trying again.", error.message);
    }
    this.wait(DASHBOARD);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("mr-dashboard");
  if (place) new Dashboard(place);
});
