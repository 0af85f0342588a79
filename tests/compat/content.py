"""What is in the data directories of compat_test.py, whatever version wrote them."""

import numpy as np

from testutil.api import Api, numbered, records
from testutil.vectors import random_vectors

NAMESPACE = "compat"
DIMENSION = 16
FIRST = range(0, 1200)
SECOND = range(1200, 1300)
REPLACED = range(100, 150)
DELETED = range(200, 230)
PRODUCER = "compat"
LIVE = [key for key in [*FIRST, *SECOND] if key not in DELETED]


def vectors(keys: range, generation: int = 0) -> np.ndarray:
    everything = random_vectors(7 + generation, len(FIRST) + len(SECOND), DIMENSION)
    return everything[list(keys)]


def expected() -> np.ndarray:
    """The vectors of LIVE."""
    everything = vectors(range(len(FIRST) + len(SECOND)))
    everything[list(REPLACED)] = vectors(REPLACED, 1)
    return everything[LIVE]


def create(api: Api) -> None:
    api.create(NAMESPACE, DIMENSION, segment_size_threshold=1000)


def write(api: Api, keys: range, generation: int = 0) -> None:
    with api.open(NAMESPACE, producer=PRODUCER) as stream:
        number = stream.opened.last_batch + 1
        stream.send(numbered(number, records(keys, vectors(keys, generation))))
        stream.receive()
