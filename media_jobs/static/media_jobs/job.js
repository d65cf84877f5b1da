"use strict";
// The page of a job: reloads the parts that the server renders when the timeline has a new entry, and keeps the log
// scrolled to its end.

function replaceParts(page) {
  for (const old of document.querySelectorAll("[data-renew]")) {
    const fresh = page.getElementById(old.id);
    if (fresh && fresh.textContent !== old.textContent) old.replaceWith(document.adoptNode(fresh));
  }
}

async function reloadParts() {
  try {
    const answer = await fetch(window.location.href, { headers: { Accept: "text/html" } });
    if (answer.ok && !answer.redirected) replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch (error) {
    console.info("Millrace does not answer. Trying again.", error.message);
    setTimeout(reloadParts, 2000);
  }
}

function observe(place, callback) {
  if (place) new MutationObserver(callback).observe(place, { childList: true, characterData: true, subtree: true });
}

function follow(log) {
  let atEnd = true;
  log.addEventListener("scroll", () => (atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24));
  observe(log, () => atEnd && log.scrollTo({ top: log.scrollHeight }));
  log.scrollTo({ top: log.scrollHeight });
}

const counter = document.querySelector('[data-live="steps"]');
let steps = counter.textContent;
observe(counter, () => {
  if (counter.textContent === steps) return;
  steps = counter.textContent;
  reloadParts();
});
follow(document.getElementById("mr-log"));
