"use strict";
// A job's page: when its past has grown, the parts that only the server can draw are asked for again; and whoever
// looks at the end of the log goes on seeing its end.

function renew(fresh) {
  for (const old of document.querySelectorAll("[data-renew]")) {
    const drawn = fresh.getElementById(old.id);
    if (drawn && drawn.textContent !== old.textContent) old.replaceWith(document.adoptNode(drawn));
  }
}

async function redraw() {
  try {
    const answer = await fetch(window.location.href, { headers: { Accept: "text/html" } });
    if (answer.ok && !answer.redirected) renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch (error) {
    console.info("Millrace does not answer; asking again.", error.message);
    setTimeout(redraw, 2000);
  }
}

function watch(place, seen) {
  if (place) new MutationObserver(seen).observe(place, { childList: true, characterData: true, subtree: true });
}

function follow(log) {
  let atEnd = true;
  log.addEventListener("scroll", () => (atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24));
  watch(log, () => atEnd && log.scrollTo({ top: log.scrollHeight }));
  log.scrollTo({ top: log.scrollHeight });
}

const past = document.querySelector('[data-live="steps"]');
let steps = past.textContent;
watch(past, () => {
  if (past.textContent === steps) return;
  steps = past.textContent;
  redraw();
});
follow(document.getElementById("mr-log"));
