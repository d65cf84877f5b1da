// Plays the file of a page: by HLS if the server has a playlist for it, else the file itself.

import { addFullscreenButton } from "./fullscreen.js";
import { HlsPlayer } from "./hls_player.js";
import { ask, hasTranscript, offersChoice } from "./playlists.js";
import { showScrubber } from "./scrubber.js";

const media = document.querySelector("#mr-player [data-plays]");
const cannot = document.querySelector("#mr-player .mr-cannot");
const content = media?.getAttribute("src");
let captions = media?.querySelector("track");
let isListed = false; // the transcript, in the playlist that plays
let playsFile = true; // hls.js deals with other errors itself
let player = null;
let renews = false;

// The server redirects to a URL of the store that expires, and the browser keeps it. Load the content again, by our URL,
// before it is needed after that.
function renewBeforeItExpires(expires) {
  renews = true;
  let loaded = Date.now();
  const renew = () => {
    if (Date.now() - loaded < expires) return;
    loaded = Date.now();
    const { currentTime, paused } = media;
    media.load();
    media.currentTime = currentTime;
    if (!paused) media.play();
  };
  for (const event of ["play", "seeking"]) media.addEventListener(event, renew);
}

// hls.js offers the transcript of a playlist itself. Browsers that play HLS themselves may not.
function offerCaptions(inPlaylist) {
  isListed = inPlaylist;
  if (inPlaylist) captions?.remove();
  else if (captions && !captions.isConnected) media.append(captions);
}

// A job has made a transcript, maybe a newer one. hls.js goes on to offer the one that its playlist had.
function changeCaptions(next) {
  if (next.getAttribute("src") === captions?.getAttribute("src")) return;
  const shown = [...media.textTracks].find(({ label, mode }) => /transcript/i.test(label) && mode === "showing");
  if (isListed) next.label = "Newer transcript";
  captions?.remove();
  captions = next;
  media.append(next);
  if (!shown) return;
  shown.mode = "disabled";
  next.track.mode = "showing";
}

function playFile({ at = 0, plays = !media.paused } = {}) {
  playsFile = true;
  offerCaptions(false);
  media.preload = "metadata";
  if (media.getAttribute("src") !== content) media.src = content;
  if (at) media.currentTime = at;
  if (plays) media.play();
  if (media.dataset.expires && !renews) renewBeforeItExpires(1000 * media.dataset.expires);
}

function playNatively(playlist) {
  const { paused } = media;
  playsFile = false;
  media.addEventListener("error", () => playFile(), { once: true });
  media.preload = "metadata";
  media.src = playlist;
  if (!paused) media.play();
}

async function load(script) {
  if (!script) return null;
  const { default: Hls } = await import(script);
  return Hls.isSupported() ? Hls : null;
}

async function begin({ playlist, hls, expires }) {
  const [master, Hls] = await Promise.all([ask(playlist), load(hls)]);
  // A store or CDN that sends the file itself does so better than we, unless there is more to play than the file.
  if (!master || (expires && !offersChoice(master))) return playFile();
  if (Hls) {
    offerCaptions(hasTranscript(master));
    playsFile = false;
    cannot.hidden = true;
    player = new HlsPlayer(Hls, media, playlist, playFile);
    return player.begin(master);
  }
  if (media.canPlayType("application/vnd.apple.mpegurl")) return playNatively(playlist);
  return playFile();
}

function showMessage() {
  if (playsFile) cannot.hidden = false;
}

if (media && media.dataset.plays !== "image") {
  addFullscreenButton(media);
  showScrubber(media);
  document.addEventListener("mr-scrubber", () => showScrubber(media));
  document.addEventListener("mr-captions", ({ detail }) => changeCaptions(detail));
}

if (media) {
  media.addEventListener("error", showMessage);
  if (media.error) showMessage();
  if (media.dataset.playlist) {
    const start = () => begin(media.dataset).catch(() => playFile());
    // A job of this file has ended: it may have made renditions.
    document.addEventListener("mr-finished", () => (player ? player.lookAgain() : media.paused && start()));
    start();
  } else if (media.dataset.expires) {
    renewBeforeItExpires(1000 * media.dataset.expires);
  }
}
