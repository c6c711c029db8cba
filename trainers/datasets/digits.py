"""The 1,797 handwritten digits of 8 x 8 pixels (UCI optical recognition of handwritten digits, test part)."""

from __future__ import annotations

from trainers.datasets.carried import Carried

CARRIED = Carried(
    name="digits",
    package="sklearn",
    path="datasets/data/digits.csv.gz",
    shape=(1, 8, 8),
    classes=10,
    train=1437,
    test=360,
    brightest=16,  # a pixel counts the set dots of a 4 x 4 block
    obtain="install scikit-learn 1.5 or later, whose wheel carries it (pip install scikit-learn)",
)
DATASET = CARRIED.dataset(
    about="1,797 handwritten digits of 8 x 8 pixels in 10 classes, 1,437 to train on and 360 to test on",
    source="UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998), CC BY 4.0, as in scikit-learn",
)
