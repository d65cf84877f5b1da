"""The operation `predict`: sends a file, its sound or its frames to a model server, and keeps the JSON answer."""

from pydantic import Field

from uploads.text.sizes import human_size

from .base import BULK, Operation, Outcome, Output, Params, Work
from .shared.sent_media import PREPARED, prepared

_SENT = 0.9  # of the progress


class PredictParams(Params):
    endpoint: str = Field(
        title="Model server",
        min_length=1,
        max_length=40,
        description="The name of a model server that an administrator has added.",
    )


class Predict(Operation[PredictParams]):
    name = "predict"
    version = 2
    title = "Predict"
    summary = "Sends the file, its sound or its frames to a model server, and keeps the JSON that it answers."
    lane = BULK
    kinds = frozenset({"video", "audio", "image"})
    parameters = PredictParams
    endpoint_parameter = "endpoint"

    def run(self, work: Work[PredictParams]) -> Outcome:
        server = work.model_server
        body = prepared(work, server.content)
        size = human_size(body.size)
        begins = PREPARED if server.content.form != "file" else 0.0

        def on_sent(sent: int) -> None:
            share = sent / max(1, body.size)
            work.tools.report(f"Sent {human_size(sent)} of {size}", begins + share * (_SENT - begins))

        def on_wait(seconds: float) -> None:
            work.tools.report(f"Waiting for the answer, {seconds:.0f} s", _SENT)

        path = work.folder / "prediction.json"
        path.write_bytes(server.ask(body, on_sent, on_wait))
        return Outcome([Output(path.name, path, "", "application/json", None)])
