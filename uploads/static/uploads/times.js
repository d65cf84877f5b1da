"use strict";
// Shows times in the viewer's zone, also in elements that are added later. Without scripts they stay in the server's
// zone. The tooltip has UTC.

const formatter = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { dateStyle: "medium", timeStyle: "medium" });

function localise(root) {
  for (const place of root.querySelectorAll("time[data-local]")) {
    place.textContent = formatter.format(new Date(place.dateTime));
    place.removeAttribute("data-local");
  }
}

new MutationObserver((changes) => {
  for (const change of changes) if (change.addedNodes.length) localise(change.target);
}).observe(document.documentElement, { childList: true, subtree: true });
localise(document);
