// Marks clips in the player of a file's page, for the form of render. The browser keeps them until they are rendered.

const MARKED = "mr-clips";
const panel = document.querySelector(".mr-mark");
const media = document.querySelector("#mr-player [data-plays=video]");

function clips() {
  try {
    const found = JSON.parse(localStorage.getItem(MARKED) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

function begin() {
  const [setIn, setOut, add, clear] = panel.querySelectorAll("button");
  const times = panel.querySelector("output");
  const render = panel.querySelector("a");
  const clip = { file: panel.dataset.file };

  function show() {
    const { start = 0, end } = clip;
    const number = clips().length;
    times.textContent = `${start} s – ${end === undefined ? "end" : `${end} s`}`;
    add.disabled = end !== undefined && end <= start;
    clear.hidden = render.hidden = !number;
    render.textContent = `Render ${number} ${number === 1 ? "clip" : "clips"}`;
  }

  function keep(found) {
    if (found.length) localStorage.setItem(MARKED, JSON.stringify(found));
    else localStorage.removeItem(MARKED);
    show();
  }

  const now = () => Math.round(media.currentTime * 1000) / 1000;
  setIn.addEventListener("click", () => { clip.start = now(); show(); });
  setOut.addEventListener("click", () => { clip.end = now(); show(); });
  add.addEventListener("click", () => keep([...clips(), { ...clip }].slice(0, 50)));
  clear.addEventListener("click", () => { keep([]); setIn.focus(); });
  window.addEventListener("storage", show);
  window.addEventListener("pageshow", show);
  panel.hidden = false;
  show();
}

if (panel && media) begin();
