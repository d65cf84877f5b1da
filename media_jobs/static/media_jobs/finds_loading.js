// What detect jobs have found, as docs/detect.md describes detections.json: of each detector, by its newest job.

const HUES = [255, 150, 40, 320, 195, 95, 285, 15]; // degrees: neighbours differ for most kinds of colour vision

// `sources`: the URL of a detections.json, and the detectors to take from it.
export async function loadFinds(sources, signal) {
  const loaded = await Promise.all(sources.map((source) => load(source, signal)));
  const finds = loaded.flatMap(({ finds }) => finds).sort((one, other) => one.start - other.start);
  number(finds);
  return { finds, duration: Math.max(0, ...loaded.map(({ duration }) => duration)) };
}

export function colourOf(place) {
  return `oklch(62% 0.17 ${HUES[place % HUES.length]})`;
}

async function load({ url, detectors }, signal) {
  const answer = await fetch(url, { signal, priority: "low" });
  if (!answer.ok) throw new Error(answer.status);
  const { finds, duration } = await answer.json();
  const titles = new Map(detectors.map(({ name, title }) => [name, title]));
  return {
    duration: Number(duration) || 0,
    finds: finds.filter(({ detector }) => titles.has(detector)).map((find) => findOf(find, titles, url)),
  };
}

function findOf(find, titles, url) {
  const { crop, path } = find;
  const sheet = crop && new URL(crop.image, new URL(url, location.href)).href;
  return {
    detector: find.detector,
    title: titles.get(find.detector),
    label: String(find.label || find.detector),
    text: String(find.text ?? ""),
    confidence: Number(find.confidence ?? 1),
    start: Number(find.start),
    end: Number(find.end),
    path: path ?? [],
    times: (path ?? []).map(([time]) => time),
    crop: crop ? { ...crop, sheet } : null,
  };
}

// What a find is called: what is written on it, or what it is, with its number.
function number(finds) {
  const counts = new Map();
  for (const find of finds) {
    const kind = `${find.detector} ${find.label}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    find.name = find.text || `${find.label[0].toUpperCase()}${find.label.slice(1)} ${counts.get(kind)}`;
    find.folded = [find.text, find.label, find.name].map(fold).join(" ");
  }
}

// In lower case, and without what people write differently in plates: "AB-123 CD" is "ab123cd".
export function fold(text) {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}
