"""The tables of this app, by topic. Import them from here."""

from .arrivals import Arrival as Arrival
from .arrivals import ArrivalChoice as ArrivalChoice
from .batches import Batch as Batch
from .batches import BatchItem as BatchItem
from .content_notes import ContentNote as ContentNote
from .jobs import Job as Job
from .jobs import JobInput as JobInput
from .model_endpoints import OPENS_AFTER as OPENS_AFTER
from .model_endpoints import ModelEndpoint as ModelEndpoint
from .outputs import Artifact as Artifact
from .outputs import ScratchBlob as ScratchBlob
from .outputs import WaitingText as WaitingText
from .presets import PRESET_NAME_LENGTH as PRESET_NAME_LENGTH
from .presets import Preset as Preset
from .workers import WORKER_TIMEOUT as WORKER_TIMEOUT
from .workers import Lane as Lane
from .workers import Share as Share
from .workers import Worker as Worker
