// Uploads the files that were picked: upload(ORDER), with an order for driver.mjs.
// What happens is in `said`; `outcome` is there when all is over.
import { send } from "../clients/driver.mjs";

window.said = [];
window.upload = (order) => {
  const files = [...document.querySelector("input").files];
  const sending = files.map((file) => send(tus.Upload, file, file.name, order, {}, (said) => window.said.push(said)));
  Promise.all(sending).then(
    () => (window.outcome = "over"),
    (error) => (window.outcome = String(error)),
  );
};
