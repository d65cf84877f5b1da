"use strict";
// Updates the panels of a file's page when a job ends. A reload would stop the player.

async function updatePanels() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const panel of document.querySelectorAll("[data-panel]")) {
    const next = page.querySelector(`[data-panel="${panel.dataset.panel}"]`);
    if (next) panel.replaceWith(document.adoptNode(next));
  }
  const shown = document.querySelector("#mr-player [data-plays]");
  const player = page.querySelector("#mr-player");
  if (!shown || !player) return;
  const { poster } = player.querySelector("[data-plays]");
  if (poster && !shown.poster && shown.paused) shown.poster = poster;
  const picture = player.querySelector("[data-poster]");
  if (picture && !document.querySelector("#mr-player [data-poster]")) shown.before(document.adoptNode(picture));
}

document.addEventListener("mr-finished", () => updatePanels().catch((error) => console.info("Panels not updated.", error.message)));
