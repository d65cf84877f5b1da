"use strict";
// Edits the clips of a render as a list. The text field of the form keeps them as JSON, which works without scripts.

const field = document.querySelector("textarea[data-list=clips]");
const known = document.querySelector("#mr-clip-files");
const MARKED = "mr-clips"; // written by mark_clips.js: the clips that were marked in players

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function read(text) {
  try {
    const clips = JSON.parse(text);
    return Array.isArray(clips) && clips.every((clip) => clip && typeof clip === "object") ? clips : null;
  } catch {
    return null;
  }
}

function marked() {
  const clips = read(localStorage.getItem(MARKED) ?? "");
  return clips?.length ? clips : null;
}

// Times such as 1:30 stay text: the server reads them.
function valueOf(text) {
  const number = Number(text.replace(",", "."));
  return text.trim() === "" ? undefined : Number.isFinite(number) ? number : text.trim();
}

function optionsFor(kinds, chosen) {
  const options = [...known.options].filter((option) => kinds.includes(option.dataset.kind)).map((option) => option.cloneNode(true));
  if (chosen !== "" && !options.some((option) => option.value === chosen))
    options.unshift(element("option", { value: chosen, textContent: `File ${chosen}` }));
  return options;
}

class ClipList {
  constructor(clips) {
    this.clips = clips;
    this.list = element("ol", { className: "mr-clips" });
    this.said = element("p", { className: "mr-quiet" });
    this.said.setAttribute("role", "status");
    const add = element("button", { type: "button", className: "mr-button", textContent: "Add clip" });
    add.addEventListener("click", () => this.add());
    const text = element("button", { type: "button", className: "mr-button", textContent: "Edit as text" });
    text.addEventListener("click", () => this.showText());
    this.buttons = element("p", { className: "mr-buttons" }, add, text);
    this.root = element("div", { className: "mr-clip-list" }, this.list, this.buttons, this.said);
    field.before(this.root);
    field.hidden = true;
    this.show();
  }

  show() {
    this.list.replaceChildren(...this.clips.map((clip, place) => this.row(clip, place)));
    this.write();
  }

  write() {
    field.value = JSON.stringify(this.clips);
    const length = this.clips.reduce((sum, { start = 0, end, duration }) => sum + (duration ?? end - start), 0);
    this.said.textContent = `${this.clips.length} ${this.clips.length === 1 ? "clip" : "clips"}${length > 0 ? `, ${+length.toFixed(2)} s` : ""}`;
  }

  row(clip, place) {
    if (clip.file === undefined || String(clip.file) === "0") clip.file = known.dataset.main || 0;
    const files = element("select", {}, ...optionsFor(["video", "image"], String(clip.file)));
    files.value = String(clip.file);
    files.setAttribute("aria-label", `File of clip ${place + 1}`);
    files.addEventListener("change", () => this.choose(clip, files.value, place));
    const isImage = files.selectedOptions[0]?.dataset.kind === "image";
    const times = isImage || clip.duration !== undefined ? ["duration"] : ["start", "end"];
    if (!isImage && times[0] === "duration") times.unshift("start");
    const inputs = [...times, "fade_in", "fade_out"].map((name) => this.input(clip, name, place));
    const moves = [["up", "↑", -1], ["down", "↓", 1]].map(([name, sign, by]) => {
      const button = this.button(sign, `Move clip ${place + 1} ${name}`, () => this.move(place, by, name));
      button.disabled = !(place + by in this.clips);
      button.dataset.move = name;
      return button;
    });
    const remove = this.button("✕", `Remove clip ${place + 1}`, () => this.remove(place));
    return element("li", {}, files, element("span", { className: "mr-times" }, ...inputs), element("span", { className: "mr-moves" }, ...moves, remove));
  }

  input(clip, name, place) {
    const words = { start: "In", end: "Out", duration: "Seconds", fade_in: "Fade in", fade_out: "Fade out" };
    const input = element("input", { type: "text", inputMode: "decimal", size: 6, value: clip[name] ?? "" });
    input.setAttribute("aria-label", `${words[name]}, clip ${place + 1}`);
    if (name === "end") input.placeholder = "end";
    if (name === "start" || name.startsWith("fade")) input.placeholder = "0";
    input.addEventListener("input", () => {
      clip[name] = valueOf(input.value);
      this.write();
    });
    return element("label", {}, words[name], input);
  }

  button(sign, label, act) {
    const button = element("button", { type: "button", className: "mr-button", textContent: sign, title: label });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    return button;
  }

  choose(clip, file, place) {
    const isImage = [...known.options].find((option) => option.value === file)?.dataset.kind === "image";
    clip.file = file;
    for (const name of ["start", "end", "duration"]) delete clip[name];
    if (isImage) clip.duration = 3;
    this.show();
    this.focus(place, "select");
  }

  add() {
    if (this.clips.length >= 50) return;
    this.clips.push({ file: this.clips.at(-1)?.file ?? 0 });
    if (this.isImage(this.clips.at(-1).file)) this.clips.at(-1).duration = 3;
    this.show();
    this.focus(this.clips.length - 1, "select");
  }

  isImage(file) {
    return [...known.options].some((option) => option.value === String(file) && option.dataset.kind === "image");
  }

  move(place, by, name) {
    const [clip] = this.clips.splice(place, 1);
    this.clips.splice(place + by, 0, clip);
    this.show();
    this.focus(place + by, `[data-move=${name}]:enabled, [data-move]:enabled`);
    this.said.textContent = `Clip ${place + 1} is now clip ${place + by + 1}.`;
  }

  remove(place) {
    this.clips.splice(place, 1);
    this.show();
    if (this.clips.length) this.focus(Math.min(place, this.clips.length - 1), ".mr-moves button:last-child");
    else this.buttons.querySelector("button").focus();
  }

  focus(place, selector) {
    this.list.children[place]?.querySelector(selector)?.focus();
  }

  showText() {
    this.root.remove();
    field.hidden = false;
    field.focus();
  }
}

// The soundtrack and the subtitles are chosen by name, too.
function offerFiles(name, kinds) {
  const input = document.querySelector(`input[name="param-${name}"]`);
  if (!input) return;
  const select = element("select", { name: input.name, id: input.id, className: "mr-select" }, element("option", { value: "", textContent: "None" }));
  select.append(...optionsFor(kinds, input.value));
  select.value = input.value;
  input.replaceWith(select);
}

if (field && known) {
  const untouched = field.value === field.defaultValue && field.value === field.dataset.example;
  const clips = (untouched && marked()) || read(field.value);
  if (clips) {
    const list = new ClipList(clips);
    field.form.addEventListener("submit", () => list.root.isConnected && localStorage.removeItem(MARKED));
  }
  offerFiles("soundtrack", ["audio", "video"]);
  offerFiles("subtitles", ["subtitle"]);
}
