"use strict";
// Shows moments in the zone of whoever looks, also in what is put into the page later. The server writes them in its
// own, for browsers without scripts; the title goes on saying UTC.

const moments = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { dateStyle: "medium", timeStyle: "medium" });

function localise(root) {
  for (const place of root.querySelectorAll("time[data-local]")) {
    place.textContent = moments.format(new Date(place.dateTime));
    place.removeAttribute("data-local");
  }
}

new MutationObserver((changes) => {
  for (const change of changes) if (change.addedNodes.length) localise(change.target);
}).observe(document.documentElement, { childList: true, subtree: true });
localise(document);
