"""Another data set's patients, as the network's own device would have seen them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeprune.data.cards import DatasetCard
from edgeprune.data.front_ends import FrontEnd
from edgeprune.data.windows import Windows, prepare
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Progress
from edgeprune.targets import Adc


def other_windows(
    card: DatasetCard,
    directory: Path | None,
    adc: Adc,
    front_end: FrontEnd,
    class_names: Sequence[str],
    progress: Progress,
    seed: int,
) -> Windows:
    """Return the test windows of a data set that a network was not made for.

    Args:
        card: The other data set; its recordings are brought to the network's converter.
        directory: Where its files lie; generated data sets need none.
        adc: The converter of the network's device.
        front_end: The front end of the network's device.
        class_names: The network's classes in the order of its outputs.
        progress: Told about each record.
        seed: Decides generated recordings.

    Raises:
        ConfigurationError: The other data set has other classes.
        DataError: See `edgeprune.data.prepare`.
    """
    if card.class_names != tuple(class_names):
        raise ConfigurationError(
            f"data set '{card.name}' has the classes {', '.join(card.class_names)}, the network "
            f"{', '.join(class_names)}",
            where=card.path,
            hint="give the card's labels the network's classes, in its order",
        )
    return prepare(card, directory, adc, front_end, progress, seed).test
