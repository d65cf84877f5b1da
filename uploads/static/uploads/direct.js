// Uploads for Uppy that go straight to the object store: several parts at once, at addresses that the server signs.
// If the same file is chosen again after a reload, its upload continues: the browser's storage has its address.

const PARTS_AT_ONCE = 4; // of all files together
const FILES_AT_ONCE = 3;
const BATCH = 8; // addresses in one request
const RETRY_DELAYS = [0, 1000, 3000, 5000, 10000, 20000];
const STALLED_AFTER = 60000; // without a byte: the connection is dead, although nobody has closed it
const LOOK_EVERY = 1000; // while a worker checks the content
const FORBIDDEN = 403, NOT_FOUND = 404, GONE = 410, TOO_MANY = 429;

const AWAY = "The server cannot be reached. Try again: the parts that arrived are kept.";
const STORE_AWAY =
  "The object store cannot be reached. Try again: the parts that arrived are kept. If it never works, an administrator " +
  "must allow this site to send to the store: manage.py bucket_cors.";

// An error with words for the user. `code` and `parts` are of the server's answer; status 0: there was no answer.
class Refused extends Error {
  constructor(words, status = 0, { code, parts } = {}) {
    super(words);
    Object.assign(this, { words, status, code, parts });
  }

  get passes() {
    const { status } = this;
    const isOldAddress = status === FORBIDDEN && !this.code; // the store's answer: another address may do
    return !status || status >= 500 || status === TOO_MANY || isOldAddress;
  }
}

class Stopped extends Error {} // by pause or cancel

// Lets a number of tasks run at a time.
class Turns {
  constructor(free) {
    this.free = free;
    this.waiting = [];
  }

  async take(task) {
    if (this.free) this.free -= 1;
    else await new Promise((go) => this.waiting.push(go));
    try {
      return await task();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}

const partTurns = new Turns(PARTS_AT_ONCE);
const fileTurns = new Turns(FILES_AT_ONCE);

function sleep(time, signal) {
  return new Promise((done, fail) => {
    const stop = () => {
      clearTimeout(timer);
      fail(new Stopped());
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      done();
    }, time);
    signal.addEventListener("abort", stop);
  });
}

// Sends one part, and returns its ETag. By XMLHttpRequest: fetch does not tell how far an upload is.
function put(url, body, signal, report) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    let timer = setTimeout(stop, STALLED_AFTER);
    request.open("PUT", url);
    request.upload.onprogress = ({ loaded }) => {
      clearTimeout(timer);
      timer = setTimeout(stop, STALLED_AFTER);
      report(loaded);
    };
    request.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      const { status } = request;
      if (status === 200) done(request.getResponseHeader("ETag"));
      else if (signal.aborted) fail(new Stopped());
      else fail(new Refused(status ? `The object store refused a part (status ${status}).` : STORE_AWAY, status));
    };
    signal.addEventListener("abort", stop);
    request.send(body);
  });
}

class DirectUpload {
  // `told` has functions: sent(bytes), resumed(bytes), checking(progress, words).
  constructor(file, { endpoint, token, told }) {
    Object.assign(this, { file, endpoint, token, told });
    this.memory = ["millrace-direct", endpoint, file.name, file.size, file.lastModified].join(" ");
    this.begin();
  }

  begin() {
    this.made = undefined; // the server's description
    this.etags = new Map(); // of parts that have arrived; empty where not known
    this.arrived = 0; // bytes of these parts
    this.onTheWay = new Map(); // bytes of other parts
    this.addresses = new Map();
  }

  // Sends what is missing, and waits for the check. Returns the complete upload. Throws Stopped, or Refused.
  run() {
    this.isWanted = true;
    this.last = Promise.resolve(this.last).catch(() => {}).then(() => fileTurns.take(() => this.carryOut()));
    return this.last;
  }

  stop() {
    this.isWanted = false;
    this.control?.abort();
  }

  async cancel() {
    this.stop();
    this.forget();
    if (this.made) await this.ask("DELETE", this.made.urls.self).catch(() => {}); // else it expires
  }

  async carryOut() {
    this.control = new AbortController();
    if (!this.isWanted) this.control.abort();
    try {
      if (!this.made) await this.open();
      while (this.made.state === "receiving" && !this.made.sent) {
        await this.sendMissing();
        await this.complete();
      }
      await this.waitForCheck();
    } catch (error) {
      throw [NOT_FOUND, GONE].includes(error.status) ? await this.ended(error) : error;
    }
    this.forget();
    return this.made;
  }

  // The upload ended while it was being sent: say why, and begin anew when the user tries again.
  async ended(error) {
    const found = this.made && (await this.ask("GET", this.made.urls.self).catch(() => null));
    if (found?.state === "receiving") await this.cancel(); // the store has lost its parts
    this.forget();
    this.begin();
    return found?.state === "failed" ? new Refused(found.message) : error;
  }

  // Continues the upload of this file, if there is one.
  async open() {
    this.made = await this.earlier();
    this.made ??= await this.retried(() =>
      this.ask("POST", this.endpoint, { name: this.file.name, size: this.file.size }),
    );
    this.remember(this.made.urls.self);
  }

  async earlier() {
    const url = this.remembered();
    if (!url) return undefined;
    try {
      const made = await this.retried(() => this.ask("GET", url));
      if (made.state === "failed") return undefined;
      if (made.state === "receiving" && !made.sent) {
        const { parts } = await this.retried(() => this.ask("GET", made.urls.parts));
        for (const { number, size, etag } of parts) this.note(number, size, etag);
        this.told.resumed(this.arrived);
      }
      return made;
    } catch (error) {
      if (![NOT_FOUND, GONE].includes(error.status)) throw error;
      return undefined;
    }
  }

  note(number, size, etag) {
    this.etags.set(number, etag ?? "");
    this.arrived += size;
  }

  part(number) {
    const start = (number - 1) * this.made.part_size;
    return this.file.slice(start, start + this.made.part_size);
  }

  report() {
    this.told.sent([...this.onTheWay.values()].reduce((sum, bytes) => sum + bytes, this.arrived));
  }

  // An error of one part stops the others.
  async sendMissing() {
    const numbers = Array.from({ length: this.made.parts }, (_, index) => index + 1);
    const queue = numbers.filter((number) => !this.etags.has(number));
    const work = async () => {
      while (queue.length) {
        const number = queue.shift();
        await partTurns.take(() => this.retried(() => this.sendPart(number, queue)));
      }
    };
    try {
      await Promise.all(Array.from({ length: PARTS_AT_ONCE }, work));
    } finally {
      this.control.abort();
      this.onTheWay.clear();
    }
    this.control = new AbortController();
    this.check();
  }

  async sendPart(number, next) {
    const url = await this.address(number, next);
    const body = this.part(number);
    try {
      const etag = await put(url, body, this.control.signal, (bytes) => {
        this.onTheWay.set(number, bytes);
        this.report();
      });
      this.onTheWay.delete(number);
      this.note(number, body.size, etag);
      this.report();
    } catch (error) {
      this.onTheWay.delete(number);
      if (error.status === FORBIDDEN) this.addresses.delete(number); // it is too old
      throw error;
    }
  }

  // Asks for a batch of addresses, unless another part is doing so.
  async address(number, next) {
    while (!this.addresses.has(number)) {
      this.asking ??= this.askForAddresses([number, ...next.slice(0, BATCH - 1)]);
      await this.asking.finally(() => (this.asking = undefined));
    }
    return this.addresses.get(number);
  }

  async askForAddresses(numbers) {
    const { parts } = await this.ask("POST", this.made.urls.parts, { numbers });
    for (const { number, url } of parts) this.addresses.set(number, url);
  }

  async complete() {
    const parts = [...this.etags].filter(([, etag]) => etag).map(([number, etag]) => ({ number, etag }));
    try {
      this.made = await this.retried(() => this.ask("POST", this.made.urls.complete, { parts }));
    } catch (error) {
      if (!error.parts) throw error;
      for (const number of error.parts) {
        if (this.etags.delete(number)) this.arrived -= this.part(number).size; // it is sent again
      }
    }
  }

  async waitForCheck() {
    while (this.made.state === "receiving") {
      this.told.checking(this.made.progress, this.made.message);
      await sleep(LOOK_EVERY, this.control.signal);
      this.made = await this.retried(() => this.ask("GET", this.made.urls.self));
    }
    if (this.made.state === "failed") throw new Refused(this.made.message, GONE);
  }

  // Repeats what fails while the network, the server or the store is away.
  async retried(request) {
    for (let tries = 0; ; tries += 1) {
      this.check();
      try {
        return await request();
      } catch (error) {
        if (!error.passes || tries === RETRY_DELAYS.length) throw error;
        await sleep(RETRY_DELAYS[tries], this.control.signal);
      }
    }
  }

  check() {
    if (!this.isWanted || this.control.signal.aborted) throw new Stopped();
  }

  // Asks our server. Throws its refusal, in its own words.
  async ask(method, url, body) {
    const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": this.token };
    const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) }).catch(() => {
      throw new Refused(AWAY);
    });
    const said = await answer.json().catch(() => ({})); // empty, or of a proxy
    if (!answer.ok) throw new Refused(said.detail ?? AWAY, answer.status, said);
    return said;
  }

  // Some browsers refuse to keep anything. Then a reload begins anew.
  remembered() {
    try {
      return localStorage.getItem(this.memory);
    } catch {
      return null;
    }
  }

  remember(url) {
    try {
      localStorage.setItem(this.memory, url);
    } catch {}
  }

  forget() {
    try {
      localStorage.removeItem(this.memory);
    } catch {}
  }
}

// Makes Uppy send its files as direct uploads. `told` has functions: resumed(id, bytes), checking(id, progress, words).
export function sendDirectly(uppy, { endpoint, token, told }) {
  const uploads = new Map();
  const ends = new Map(); // end the promises that Uppy waits for
  uppy.setState({ capabilities: { ...uppy.getState().capabilities, resumableUploads: true } });

  function uploadOf(id) {
    const { data, size, direct } = uppy.getFile(id);
    const progress = (bytes) => ({ bytesUploaded: bytes, bytesTotal: size });
    const sent = (bytes) => uppy.emit("upload-progress", uppy.getFile(id), progress(bytes));
    const resumed = (bytes) => told.resumed(id, bytes);
    const checking = (share, words) => told.checking(id, share, words);
    return new DirectUpload(data, { endpoint, token, told: { sent, resumed, checking }, ...direct });
  }

  async function send(id) {
    if (!uploads.has(id)) uploads.set(id, uploadOf(id));
    try {
      const made = await uploads.get(id).run();
      uppy.emit("upload-success", uppy.getFile(id), { status: 200, body: made, uploadURL: made.urls.self });
    } catch (error) {
      const file = uppy.getFile(id); // it may have been removed
      if (!file || error instanceof Stopped) return; // Uppy goes on to wait
      uppy.emit("upload-error", file, error);
    }
    ends.get(id)?.();
  }

  uppy.addUploader((ids) => {
    uppy.emit("upload-start", uppy.getFilesByIds(ids));
    const each = (id) =>
      new Promise((end) => {
        ends.set(id, end);
        send(id);
      });
    return Promise.all(ids.filter((id) => uppy.getFile(id)).map(each));
  });
  uppy.on("upload-pause", ({ id }, isPaused) => (isPaused ? uploads.get(id)?.stop() : send(id)));
  uppy.on("file-removed", ({ id }) => {
    uploads.get(id)?.cancel();
    uploads.delete(id);
    ends.get(id)?.();
  });
}
