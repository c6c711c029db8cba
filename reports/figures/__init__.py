"""The kinds of figures, a module each: rows in, figure out. A new kind is a module here and a line in ``ITEMS``.

An ``Item`` is a grid of panels over the noise ratio; a ``Kind`` makes its own plates, from points over another axis or
from artifacts.
"""

from __future__ import annotations

from reports.figures import (
    accuracy,
    batch,
    confusion,
    consistency,
    context,
    excess,
    frechet,
    gradients,
    neighbours,
    nll,
    samples,
    volume,
)
from reports.figures.item import Item
from reports.figures.plate import Kind

ITEMS: tuple[Item | Kind, ...] = (
    accuracy.ITEM,
    nll.ITEM,
    excess.ITEM,
    consistency.ITEM,
    consistency.JUDGES,
    frechet.ITEM,
    frechet.FID,
    neighbours.ITEM,
    samples.KIND,
    confusion.KIND,
    volume.IMAGES,
    volume.CLASSES,
    batch.KIND,
    context.KIND,
    gradients.KIND,
)
