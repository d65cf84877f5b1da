"""Finds in a frame what an operator's model was trained for."""

from collections.abc import Sequence

import cv2
import numpy as np

from ..detector import Picture
from ..sightings import Box, Sighting
from .yolo_model import YoloModel, framed

_MOST = 1000  # boxes that are compared with each other: the surest


class YoloLooker:
    def __init__(self, model: YoloModel, confidence: float, overlap: float) -> None:
        self._model, self._confidence, self._overlap = model, confidence, overlap

    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        frame, scale, left, top = framed(picture, self._model.width, self._model.height)
        guess = self._model.guess(frame)
        classes, scores = guess.scores.argmax(axis=1), guess.scores.max(axis=1)
        usable = np.isfinite(guess.boxes).all(axis=1) & (scores >= self._confidence)
        places = np.flatnonzero(usable)
        places = places[np.argsort(-scores[places], kind="stable")[:_MOST]]
        boxes = (guess.boxes[places] - [left, top, 0, 0]) / scale
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores[places].tolist(), classes[places].tolist(), self._confidence, self._overlap
        )  # fmt: skip
        height, width = picture.shape[:2]
        shares = boxes / [width, height, width, height]
        return [
            Sighting(
                time,
                self._model.labels[classes[places[number]]],
                float(scores[places[number]]),
                Box(*shares[number].tolist()),
            )
            for number in kept
        ]
