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

const cannot = document.querySelector("#mr-player .mr-cannot");
const plays = document.querySelector("#mr-player [data-plays]");
if (plays) {
  const showMessage = () => (cannot.hidden = false);
  plays.addEventListener("error", showMessage);
  if (plays.error) showMessage();
}

// The server redirects to a URL of the store that expires, and the browser keeps it. Load the content again, by our URL,
// before it is needed after that.
const expires = plays && 1000 * plays.dataset.expires;
if (expires) {
  let loaded = Date.now();
  const renew = () => {
    if (Date.now() - loaded < expires) return;
    loaded = Date.now();
    const { currentTime, paused } = plays;
    plays.load();
    plays.currentTime = currentTime;
    if (!paused) plays.play();
  };
  for (const event of ["play", "seeking"]) plays.addEventListener(event, renew);
}
