// One picture out of a sheet of many: its frame, and the sheet behind it. Storyboards and detections name a picture as
// { sheet: URL, x, y, width, height } in pixels of the sheet.

export class SheetPicture {
  constructor(parent) {
    this.frame = parent.appendChild(element("div", "mr-preview-frame"));
    this.picture = this.frame.appendChild(element("div", "mr-preview-picture"));
  }

  // As large as fits, and not larger than it is.
  draw({ sheet, x, y, width, height }, widest, highest = Infinity) {
    const scale = Math.min(1, widest / width, highest / height);
    Object.assign(this.frame.style, { width: `${width * scale}px`, height: `${height * scale}px` });
    Object.assign(this.picture.style, {
      width: `${width}px`, height: `${height}px`, transform: `scale(${scale})`,
      backgroundImage: `url("${sheet}")`, backgroundPosition: `-${x}px -${y}px`,
    }); // prettier-ignore
  }
}

export function element(name, classes) {
  const made = document.createElement(name);
  made.className = classes;
  return made;
}
