// Finds words in the cues of a transcript, in any case, also where a cue ends between them.

export class TextSearch {
  constructor(texts) {
    this.starts = [];
    let length = 0;
    for (const text of texts) {
      this.starts.push(length);
      length += text.length + 1;
    }
    this.lengths = texts.map((text) => text.length);
    this.all = texts.map(fold).join(" ");
  }

  // Each match as the parts of cues that it covers.
  find(words) {
    const wanted = fold(words.trim().replace(/\s+/g, " "));
    const matches = [];
    if (!wanted) return matches;
    let number = 0;
    for (let at = this.all.indexOf(wanted); at >= 0; at = this.all.indexOf(wanted, at + wanted.length)) {
      while (this.starts[number + 1] <= at) number += 1;
      matches.push(this.parts(number, at, at + wanted.length));
    }
    return matches;
  }

  parts(number, from, to) {
    const parts = [];
    for (; this.starts[number] < to; number += 1) {
      const start = this.starts[number];
      parts.push({ number, from: Math.max(0, from - start), to: Math.min(this.lengths[number], to - start) });
    }
    return parts;
  }
}

// In lower case, and as long as before: "İ" would become two characters.
function fold(text) {
  return text.replace(/\p{Lu}/gu, (letter) => {
    const lower = letter.toLowerCase();
    return lower.length === letter.length ? lower : letter;
  });
}
