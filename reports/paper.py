"""What the paper published, as far as a report holds it against a store: arXiv 2512.11912, one run a value."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from reports.floors import Noise, nll_bound, sampled_floor_from_accuracy

SOURCE = "arXiv 2512.11912"


@dataclass(frozen=True, slots=True)
class PaperValue:
    """A noisy run's value and that of the clean run, of ``quantity``: NLL in nats, shares in [0, 1].

    ``quantity`` is named as an excess of the report is. ``where`` tells where the two numbers stand.
    """

    family: str
    dataset: str
    model: str
    quantity: str
    rate: Fraction
    observed: float
    clean: float
    classes: int
    where: str

    @property
    def floor(self) -> float:
        """-ln(1 - e) + clean NLL, an upper bound; (1 - e) c + e (1 - c) / (n - 1) for consistency."""
        if self.quantity == "nll_excess":
            return nll_bound(self.clean, self.rate)
        floor = sampled_floor_from_accuracy(self.clean, Noise("uniform_wrong", self.rate), self.classes)
        return self.clean if floor is None else floor

    @property
    def excess(self) -> float:
        """Observed less floor."""
        return self.observed - self.floor


HALF = Fraction(1, 2)
#: Values at r = 1, the paper's largest ratio. The classifier's is the mean of 13 batches of its log.
EXCESSES = (
    PaperValue("language", "OpenWebText", "GPT-2", "nll_excess", HALF, 3.59, 2.87, 50_257, "section 3.2"),
    PaperValue(
        "classifier", "CIFAR-10", "ResNet-18", "nll_excess", HALF, 0.9669, 0.2302, 10, "log of section 3.5's runs"
    ),
    PaperValue("diffusion", "CIFAR-10", "EDM", "consistency_excess", HALF, 0.40630, 0.94082, 10, "section 3.4"),
    PaperValue("diffusion", "CIFAR-100", "EDM", "consistency_excess", HALF, 0.16996, 0.65236, 100, "section 3.4"),
)
