// tus-js-client, as a program in Node uses it. Run as: node upload.mjs ORDER, with an order for driver.mjs and
//   paths: the files;
//   storage: a file in which uploads are remembered;
//   live: read the files as streams whose length nobody knows.
// Says one line of JSON for everything that happens.
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { PassThrough } from "node:stream";
import { FileUrlStorage, Upload } from "tus-js-client";
import { send } from "./driver.mjs";

const order = JSON.parse(process.argv[2]);
const options = order.storage ? { urlStorage: new FileUrlStorage(order.storage) } : {};

await Promise.all(
  order.paths.map((path) => {
    const file = createReadStream(path);
    const input = order.live ? file.pipe(new PassThrough()) : file;
    return send(Upload, input, basename(path), order, options, (said) => console.log(JSON.stringify(said)));
  }),
);
