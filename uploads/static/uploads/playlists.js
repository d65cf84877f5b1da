// What the player must know of HLS playlists (RFC 8216) before hls.js reads them.

export async function ask(url) {
  const answer = await fetch(url);
  return answer.ok ? answer.text() : "";
}

export function offersChoice(master) {
  return variantsOf(master, location.href).length > 1 || subtitlesOf(master).some((line) => !isTranscript(line));
}

export function hasTranscript(master) {
  return subtitlesOf(master).some(isTranscript);
}

function subtitlesOf(master) {
  return master.split("\n").filter((line) => line.startsWith("#EXT-X-MEDIA:TYPE=SUBTITLES"));
}

function isTranscript(line) {
  return line.includes('URI="transcript-');
}

// The renditions of a master playlist, the largest first.
export function variantsOf(master, base) {
  const found = [...master.matchAll(/^#EXT-X-STREAM-INF:(.*)\n(?:#.*\n)*([^#\n]+)$/gm)].map(([, attributes, uri]) => ({
    url: new URL(uri.trim(), new URL(base, location.href)).href,
    height: Number(attributes.match(/RESOLUTION=\d+x(\d+)/)?.[1] ?? 0),
    bitrate: Number(attributes.match(/(?:^|,)BANDWIDTH=(\d+)/)?.[1] ?? 0),
  }));
  return found.sort((one, other) => other.height - one.height || other.bitrate - one.bitrate);
}

// Add to each rendition how many segments it has, and whether that is all of them: some are still being made.
export async function lookAt(variants) {
  const playlists = await Promise.all(variants.map(({ url }) => ask(url).catch(() => "")));
  for (const [number, text] of playlists.entries()) {
    variants[number].segments = text.split("#EXTINF:").length - 1;
    variants[number].isComplete = text.includes("#EXT-X-ENDLIST");
  }
}
