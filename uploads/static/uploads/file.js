"use strict";
// Updates the panels of a file's page when a job ends. A reload would stop the player.

async function updatePanels() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const panel of document.querySelectorAll("[data-panel]")) {
    const next = page.querySelector(`[data-panel="${panel.dataset.panel}"]`);
    const isSame = panel.dataset.version && panel.dataset.version === next?.dataset.version;
    if (next && !isSame) panel.replaceWith(document.adoptNode(next));
  }
  document.dispatchEvent(new Event("mr-panels"));
  const shown = document.querySelector("#mr-player [data-plays]");
  const player = page.querySelector("#mr-player");
  if (!shown || !player) return;
  const { poster } = player.querySelector("[data-plays]");
  if (poster && !shown.poster && shown.paused) shown.poster = poster;
  updateScrubber(player.querySelector("[data-scrubber]"), shown);
  const captions = player.querySelector("track");
  if (captions) document.dispatchEvent(new CustomEvent("mr-captions", { detail: document.adoptNode(captions) }));
  const picture = player.querySelector("[data-poster]");
  if (picture && !document.querySelector("#mr-player [data-poster]")) shown.before(document.adoptNode(picture));
}

// A job has made a storyboard or a waveform, maybe a newer one.
function updateScrubber(next, media) {
  const before = document.querySelector("#mr-player [data-scrubber]");
  const isSame = ["storyboard", "waveform"].every((what) => next?.dataset[what] === before?.dataset[what]);
  if (!next || isSame) return;
  before?.remove();
  media.parentElement.append(document.adoptNode(next));
  document.dispatchEvent(new Event("mr-scrubber"));
}

document.addEventListener("mr-finished", () => updatePanels().catch((error) => console.info("Panels not updated.", error.message)));

// From a result of the search: begin at ?t=SECONDS.
const begin = Number(new URLSearchParams(location.search).get("t"));
const played = document.querySelector("#mr-player video, #mr-player audio");
if (begin > 0 && played) {
  const seek = () => { played.currentTime = begin; };
  if (played.readyState > 0) seek();
  else played.addEventListener("loadedmetadata", seek, { once: true });
}
