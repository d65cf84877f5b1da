// Plays by hls.js. The browser's own controls choose subtitles; menus over the picture choose quality and sound, where
// there is a choice. A rendition that is still being made can only be chosen when it is complete: a player that went
// over to it by itself would stop at its end. If none is complete, the one that is furthest plays, and grows.

import { ask, lookAt, variantsOf } from "./playlists.js";

const BEFORE_PLAY = 1; // seconds to load: the first picture
const AHEAD = 30;
const BEHIND = 60;
const RECOVERIES = 3;
const LOOK_AGAIN = 10_000;

export class HlsPlayer {
  constructor(Hls, media, playlist, giveUp) {
    Object.assign(this, { Hls, media, playlist, giveUp, recoveries: RECOVERIES });
    this.menus = media.parentElement.querySelector(".mr-choices");
    this.quality = this.menu("Quality", (url) => this.choose(url));
    this.sound = this.menu("Sound", (number) => (this.hls.audioTrack = Number(number)));
    media.addEventListener("play", () => (this.hls.config.maxBufferLength = AHEAD));
  }

  async begin(master) {
    await this.look(master);
    this.open({ at: this.media.currentTime, plays: !this.media.paused });
  }

  async look(master) {
    this.variants = variantsOf(master, this.playlist);
    if (this.variants.length > 1) await lookAt(this.variants);
    if (this.variants.some(({ isComplete }) => isComplete === false)) this.lookLater();
  }

  lookLater() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.lookAgain(), LOOK_AGAIN);
  }

  async lookAgain() {
    const master = await ask(this.playlist).catch(() => "");
    if (!master) return this.lookLater();
    await this.look(master);
    return this.showQualities();
  }

  // Those that may be played, by URL.
  usable() {
    const complete = this.variants.filter(({ isComplete }) => isComplete !== false);
    const furthest = this.variants.toSorted((one, other) => other.segments - one.segments).slice(0, 1);
    return new Set((complete.length ? complete : furthest).map(({ url }) => url));
  }

  open({ at, plays, url = "" }) {
    const { Hls, media } = this;
    this.hls?.destroy();
    const hls = new Hls({
      autoStartLoad: false,
      enableWorker: false, // fragments are passed on as they are, and the page's policy allows no workers from blobs
      maxBufferLength: plays ? AHEAD : BEFORE_PLAY,
      maxBufferSize: 0, // bytes: no longer time for small films
      backBufferLength: BEHIND,
      capLevelToPlayerSize: true,
    });
    this.hls = hls;
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      const usable = this.usable();
      for (const level of hls.levels.toReversed())
        if (!usable.has(level.uri) && hls.levels.length > 1) hls.removeLevel(hls.levels.indexOf(level));
      if (url) hls.startLevel = hls.loadLevel = this.levelOf(url);
      hls.startLoad(at);
      this.showQualities(url);
    });
    hls.on(Hls.Events.LEVEL_SWITCHED, () => this.showQualities());
    hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, () => this.showSounds());
    hls.on(Hls.Events.ERROR, (_, { fatal, type }) => fatal && this.recover(type));
    hls.loadSource(this.playlist);
    hls.attachMedia(media);
    if (plays) media.play();
  }

  recover(type) {
    if (type === this.Hls.ErrorTypes.MEDIA_ERROR && this.recoveries--) return this.hls.recoverMediaError();
    const { currentTime, paused } = this.media;
    this.hls.destroy();
    this.quality.hidden = this.sound.hidden = true;
    return this.giveUp({ at: currentTime, plays: !paused });
  }

  levelOf(url) {
    return this.hls.levels.findIndex(({ uri }) => uri === url);
  }

  choose(url) {
    const level = url ? this.levelOf(url) : -1;
    if (!url || level >= 0) this.hls.nextLevel = level;
    else this.open({ at: this.media.currentTime, plays: !this.media.paused, url }); // complete since we began
    this.showQualities(url);
  }

  menu(name, choose) {
    const select = document.createElement("select");
    select.setAttribute("aria-label", name);
    select.hidden = true;
    select.addEventListener("change", () => choose(select.value));
    this.menus.insertBefore(select, this.menus.querySelector("button"));
    return select;
  }

  showQualities(chosen = this.quality.value) {
    const { hls, variants } = this;
    const usable = this.usable();
    const played = hls.levels[hls.currentLevel];
    const options = variants.map((variant) => ({
      value: variant.url,
      words: `${nameOf(variant, variants)}${variant.isComplete === false ? " (being made)" : ""}`,
      disabled: !usable.has(variant.url),
    }));
    const auto = { value: "", words: played && !chosen ? `Auto (${played.height}p)` : "Auto" };
    show(this.quality, [auto, ...options], chosen);
    this.menus.hidden = false;
  }

  showSounds() {
    const { audioTrack, audioTracks } = this.hls;
    show(this.sound, audioTracks.map(({ name }, number) => ({ value: String(number), words: name })), String(audioTrack));
  }
}

function nameOf({ height, bitrate }, variants) {
  const isAlone = variants.filter((other) => other.height === height).length === 1;
  return isAlone ? `${height}p` : `${height}p, ${(bitrate / 1e6).toFixed(1)} Mbit/s`;
}

// A menu that is open must not change under the hand: only what is new is written.
function show(select, options, chosen) {
  select.hidden = options.length < (options[0]?.value === "" ? 3 : 2);
  const same = options.length === select.length;
  for (const [number, { value, words, disabled = false }] of options.entries()) {
    const option = (same && select.options[number]) || new Option();
    if (option.textContent !== words) option.textContent = words;
    Object.assign(option, { value, disabled });
    if (!same) select.options[number] = option;
  }
  select.length = options.length;
  select.value = chosen;
}
