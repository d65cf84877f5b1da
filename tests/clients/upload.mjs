// tus-js-client, as a program in Node uses it. Run as: node upload.mjs ORDER, where ORDER is JSON:
//   endpoint, token, paths; options for tus-js-client;
//   storage: a file in which uploads are remembered; live: read the paths as streams whose length nobody knows;
//   stopAt: stop when so many bytes were sent, for now, or for good with terminate.
// Says one line of JSON for everything that happens.
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { PassThrough } from "node:stream";
import { FileUrlStorage, Upload } from "tus-js-client";

const order = JSON.parse(process.argv[2]);
const say = (event, more) => console.log(JSON.stringify({ event, ...more }));

async function upload(path) {
  const file = createReadStream(path);
  const sending = new Upload(order.live ? file.pipe(new PassThrough()) : file, {
    endpoint: order.endpoint,
    headers: { Authorization: `Bearer ${order.token}` },
    metadata: { filename: basename(path), filetype: "video/mp4" },
    retryDelays: Array(100).fill(100),
    onAfterResponse: (request, response) => say("answer", { method: request.getMethod(), status: response.getStatus() }),
    ...(order.storage && { urlStorage: new FileUrlStorage(order.storage) }),
    ...order.options,
  });
  const [previous] = await sending.findPreviousUploads();
  if (previous) sending.resumeFromPreviousUpload(previous);
  const outcome = await new Promise((resolve, reject) => {
    let begun = false;
    let stopping = false;
    sending.options.onProgress = (sent) => {
      if (!begun) say("begun", { path, offset: sent });
      begun = true;
      if (stopping || !order.stopAt || sent < order.stopAt) return;
      stopping = true;
      sending.abort(order.terminate).then(() => resolve("stopped"), reject);
    };
    sending.options.onSuccess = () => resolve("succeeded");
    sending.options.onError = reject;
    sending.start();
  });
  say(outcome, { path, url: sending.url });
}

await Promise.all(order.paths.map(upload));
