"""The kinds of figures, a module each: rows in, figure out. A new kind is a module here and a line in ``ITEMS``."""

from __future__ import annotations

from reports.figures import accuracy, excess, nll
from reports.figures.item import Item

ITEMS: tuple[Item, ...] = (accuracy.ITEM, nll.ITEM, excess.ITEM)
