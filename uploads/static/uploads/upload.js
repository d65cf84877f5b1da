// Adds Uppy to the upload form: progress, speed and time left of each file; pause and resume. If the same file is
// chosen again, its upload continues. Files go to this server by tus, or straight to the object store by direct.js,
// where the server offers that. Names and errors are set as text, never as HTML.

import { sendDirectly } from "./direct.js";

const RETRY_DELAYS = [0, 1000, 3000, 5000, 10000, 20000];
const TICK = 500;
const SPEED_WINDOW = 5000;

const form = document.getElementById("mr-send");
const input = form.querySelector("input[type=file]");
const token = form.elements.csrfmiddlewaretoken.value;
const section = document.getElementById("mr-sending");
const rows = new Map();

function size(bytes) {
  if (bytes < 1000) return `${Math.round(bytes)} bytes`;
  for (const unit of ["KB", "MB", "GB"]) {
    bytes /= 1000;
    if (bytes < 1000) return `${bytes.toFixed(1)} ${unit}`;
  }
  return `${(bytes / 1000).toFixed(1)} TB`;
}

function time(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.ceil(seconds)} s`;
}

class Row {
  constructor(file, act) {
    this.total = file.size;
    this.sent = 0;
    this.from = 0;
    this.place = section.querySelector("template").content.firstElementChild.cloneNode(true);
    this.place.querySelector("strong").textContent = file.name;
    this.place.addEventListener("click", (event) => event.target.dataset.do && act(event.target.dataset.do));
    section.querySelector("ul").append(this.place);
    section.hidden = false;
    this.go();
  }

  part(selector) {
    return this.place.querySelector(selector);
  }

  become(state, label, message, buttons) {
    this.state = state;
    const badge = this.part(".mr-state");
    badge.dataset.state = state;
    badge.textContent = label;
    this.say(message);
    for (const button of this.place.querySelectorAll("[data-do]")) button.hidden = !buttons.includes(button.dataset.do);
    this.part("[data-do=remove]").textContent = state === "failed" ? "Remove" : "Cancel";
    this.part("progress").hidden = state === "failed";
  }

  say(message) {
    const place = this.part(".mr-message");
    if (place.textContent !== message) place.textContent = message;
  }

  go() {
    this.samples = [];
    this.become("receiving", "Uploading", "Waiting for the server", ["pause", "remove"]);
    this.part("[data-do=pause]").textContent = "Pause";
  }

  pause() {
    this.become("paused", "Paused", `Paused: ${this.received()}`, ["pause", "remove"]);
    this.part("[data-do=pause]").textContent = "Resume";
  }

  check(progress, message) {
    if (this.state !== "checking") this.become("checking", "Checking", message, ["remove"]);
    this.part("progress").value = progress;
    this.say(message);
  }

  fail(words) {
    this.become("failed", "Failed", words, ["retry", "remove"]);
  }

  finish(url) {
    this.part("progress").value = 1;
    this.become("complete", "Complete", `Complete: ${size(this.total)}`, []);
    this.part("a").href = url;
    this.part("a").hidden = false;
  }

  received() {
    return `${size(this.sent)} (${Math.floor((100 * this.sent) / this.total)} %)`;
  }

  tick() {
    if (this.state !== "receiving" || !this.sent) return;
    this.part("progress").value = this.sent / this.total;
    const now = performance.now();
    this.samples.push([now, this.sent]);
    while (now - this.samples[0][0] > SPEED_WINDOW) this.samples.shift();
    const [since, before] = this.samples[0];
    if (since === now) return;
    if (this.sent === this.total) return this.say("Sent. The server is storing the file");
    const speed = Math.max(0, (1000 * (this.sent - before)) / (now - since));
    const from = this.from ? `. Continued from ${size(this.from)}` : "";
    if (!speed) return this.say(`Waiting for the network: ${this.received()}${from}`);
    const left = time((this.total - this.sent) / speed);
    this.say(`Uploading: ${this.received()} at ${size(speed)}/s, ${left} left${from}`);
  }
}

function refusal(error, response) {
  if (error.words) return error.words;
  const answer = response?.body?.xhr;
  try {
    return JSON.parse(answer.responseText).detail;
  } catch {
    return "The server gave an unexpected answer. Try again: the received bytes are kept.";
  }
}

async function pageOf(upload) {
  const list = form.dataset.files;
  try {
    const answer = await fetch(upload, { headers: { Accept: "application/json" } });
    return `${list}${(await answer.json()).file}/change/`;
  } catch {
    return list; // complete, but its file is unknown
  }
}

// By tus, to this server.
function sendByTus(uppy, Tus) {
  const fileIds = new WeakMap();
  uppy.use(Tus, {
    endpoint: form.dataset.endpoint,
    headers: { "X-CSRFToken": token },
    limit: 3,
    allowedMetaFields: ["name", "type"],
    retryDelays: RETRY_DELAYS,
    removeFingerprintOnSuccess: true,
    onBeforeRequest: (request, file) => void fileIds.set(request, file.id),
    onAfterResponse: (request, response) => {
      const row = rows.get(fileIds.get(request));
      if (row && request.getMethod() === "HEAD") row.from = Number(response.getHeader("Upload-Offset")) || 0;
    },
  });
}

function sendToStore(uppy) {
  const told = {
    resumed: (id, bytes) => rows.has(id) && (rows.get(id).from = bytes),
    checking: (id, progress, message) => rows.get(id)?.check(progress, message),
  };
  sendDirectly(uppy, { endpoint: form.dataset.direct, token, told });
}

// Where a file is to be sent to: the query names the presets to run on it. No query while the choice is as it was: an
// interrupted upload is found again by its endpoint.
function endpointsOf() {
  const boxes = [...document.querySelectorAll("#mr-arrival input[type=checkbox]")];
  if (boxes.every((box) => box.checked === box.defaultChecked)) return {};
  const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
  const query = `?${new URLSearchParams({ presets: chosen.join(",") })}`;
  return { tus: { endpoint: form.dataset.endpoint + query }, direct: { endpoint: form.dataset.direct + query } };
}

async function begin({ Uppy, Tus }) {
  // Failures are shown in the row of the file, not in the console.
  const quiet = { debug() {}, warn() {}, error() {} };
  const uppy = new Uppy({ id: "millrace", autoProceed: true, logger: quiet });
  if (form.dataset.direct) sendToStore(uppy);
  else sendByTus(uppy, Tus);

  const actions = {
    pause: (id) => (uppy.pauseResume(id) ? rows.get(id).pause() : rows.get(id).go()),
    retry: (id) => {
      rows.get(id).go();
      uppy.retryUpload(id);
    },
    remove: (id) => uppy.removeFile(id),
  };
  uppy.on("file-added", (file) => rows.set(file.id, new Row(file, (action) => actions[action](file.id))));
  uppy.on("file-removed", ({ id }) => {
    rows.get(id).place.remove();
    rows.delete(id);
    section.hidden = !rows.size;
  });
  uppy.on("upload-progress", (file, { bytesUploaded }) => {
    const row = rows.get(file?.id);
    if (row) row.sent = bytesUploaded;
  });
  uppy.on("upload-error", (file, error, response) => rows.get(file.id)?.fail(refusal(error, response)));
  uppy.on("upload-success", async (file, { uploadURL }) => {
    const url = await pageOf(uploadURL);
    rows.get(file.id)?.finish(url);
    if (rows.size === 1) location.assign(url);
  });
  setInterval(() => rows.forEach((row) => row.tick()), TICK);
  return uppy;
}

function addFiles(uppy, files) {
  for (const file of files) {
    try {
      const id = uppy.addFile({ name: file.name, type: file.type, data: file });
      uppy.setFileState(id, endpointsOf());
    } catch (error) {
      if (!error.isRestriction) throw error; // the file is already in the list
    }
  }
  input.value = "";
}

function enhance(uppy) {
  const zone = form.querySelector(".mr-drop");
  const drag = (over) => (event) => {
    event.preventDefault();
    zone.classList.toggle("mr-over", over);
  };
  zone.addEventListener("dragover", drag(true));
  zone.addEventListener("dragleave", drag(false));
  zone.addEventListener("drop", drag(false));
  zone.addEventListener("drop", (event) => addFiles(uppy, [...event.dataTransfer.files]));
  zone.querySelector(".mr-drop-words").textContent = "Drop files here, or choose some";
  form.classList.add("mr-enhanced");
  form.addEventListener("submit", (event) => event.preventDefault());
  input.multiple = true;
  input.addEventListener("change", () => addFiles(uppy, [...input.files]));
  addFiles(uppy, [...input.files]); // chosen before this script was loaded
}

// Keeps unfold's script from looking for its own file widget around this input, which would fail.
input.hasChangeListener = true;
if (form.dataset.uppy) enhance(await begin(await import(form.dataset.uppy)));
