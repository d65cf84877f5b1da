// Sends one file with tus-js-client, in Node as in a browser, by an order that came as JSON:
//   endpoint, token; options for tus-js-client;
//   stopAt: stop when so many bytes were sent, for now, or for good with terminate;
//   terminateAfter: terminate it when it is complete.
// An upload that is remembered goes on where it was. Everything that happens is said.
export async function send(Upload, input, name, order, options, say) {
  const sending = new Upload(input, {
    endpoint: order.endpoint,
    headers: { Authorization: `Bearer ${order.token}` },
    metadata: { filename: name, filetype: "video/mp4" },
    retryDelays: Array(300).fill(100),
    onAfterResponse: (request, response) => say({ event: "answer", method: request.getMethod(), status: response.getStatus() }),
    ...order.options,
    ...options,
  });
  const [previous] = await sending.findPreviousUploads();
  if (previous) sending.resumeFromPreviousUpload(previous);
  const event = await new Promise((resolve, reject) => {
    let begun = false;
    let stopping = false;
    sending.options.onProgress = (offset) => {
      if (!begun) say({ event: "begun", name, offset });
      begun = true;
      if (stopping || !order.stopAt || offset < order.stopAt) return;
      stopping = true;
      sending.abort(order.terminate).then(() => resolve("stopped"), reject);
    };
    sending.options.onSuccess = () => resolve("succeeded");
    sending.options.onError = reject;
    sending.start();
  });
  if (order.terminateAfter) await sending.abort(true);
  say({ event, name, url: sending.url });
}
