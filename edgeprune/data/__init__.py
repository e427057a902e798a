"""From published or generated recordings to the windows that a device classifies."""

from edgeprune.data.cards import DatasetCard, list_cards, load_card, split_statement
from edgeprune.data.checksums import CheckReport, check
from edgeprune.data.fetch import FetchReport, fetch
from edgeprune.data.front_end import FrontEnd, FrontEndOutput
from edgeprune.data.recordings import Recording, read_recordings, to_adc
from edgeprune.data.subjects import Subject
from edgeprune.data.windows import Dataset, RecordCount, Windows, prepare

__all__ = [
    "CheckReport",
    "Dataset",
    "DatasetCard",
    "FetchReport",
    "FrontEnd",
    "FrontEndOutput",
    "RecordCount",
    "Recording",
    "Subject",
    "Windows",
    "check",
    "fetch",
    "list_cards",
    "load_card",
    "prepare",
    "read_recordings",
    "split_statement",
    "to_adc",
]
