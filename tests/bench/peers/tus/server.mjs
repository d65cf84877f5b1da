// @tus/server with its file store. It does not hash; it does sync what it got before it answers.
// Run as: node server.mjs PORT FOLDER
import { open } from "node:fs/promises";
import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const [port, directory] = process.argv.slice(2);

const server = new Server({
  path: "/files",
  relativeLocation: true,
  datastore: new FileStore({ directory }),
  async onUploadFinish(request, upload) {
    const stored = await open(upload.storage.path, "r+");
    try {
      await stored.datasync();
    } finally {
      await stored.close();
    }
    return {};
  },
});
server.listen({ host: "127.0.0.1", port: Number(port) });
