"""From published or generated recordings to the windows that a device classifies."""

from edgeprune.data.cards import DatasetCard, list_cards, load_card, split_statement
from edgeprune.data.checksums import CheckReport, check
from edgeprune.data.fetch import FetchReport, fetch
from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.front_ends import FrontEnd, FrontEndOutput, front_end_for
from edgeprune.data.recordings import Event, Recording, read_recordings, to_adc
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.data.subjects import Subject
from edgeprune.data.windows import Dataset, RecordCount, Windows, prepare

__all__ = [
    "BeatFrontEnd",
    "CheckReport",
    "Dataset",
    "DatasetCard",
    "Event",
    "FetchReport",
    "FrontEnd",
    "FrontEndOutput",
    "RecordCount",
    "Recording",
    "SegmentFrontEnd",
    "Subject",
    "Windows",
    "check",
    "fetch",
    "front_end_for",
    "list_cards",
    "load_card",
    "prepare",
    "read_recordings",
    "split_statement",
    "to_adc",
]
