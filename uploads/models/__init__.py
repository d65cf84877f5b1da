"""The tables of this app, by topic. Import them from here: migrations name `uploads.models.NameKey`."""

from .accounts import AccountLimits as AccountLimits
from .accounts import Token as Token
from .direct_uploads import DirectUpload as DirectUpload
from .files import MediaFile as MediaFile
from .files import NameKey as NameKey
from .search_texts import SearchText as SearchText
from .search_texts import WordsField as WordsField
from .service import Alert as Alert
from .service import ChoreRecord as ChoreRecord
from .service import CounterIncrement as CounterIncrement
from .service import HousekeepingLeader as HousekeepingLeader
from .service import NightlySnapshot as NightlySnapshot
from .service import SecretKeyUse as SecretKeyUse
from .storage import SHA256_HEX as SHA256_HEX
from .storage import Blob as Blob
from .storage import OpenPart as OpenPart
from .storage import OpenWrite as OpenWrite
from .storage import SidecarChange as SidecarChange
from .storage import SinkMark as SinkMark
from .storage import Tombstone as Tombstone
from .transfers import Transition as Transition
from .transfers import Upload as Upload
