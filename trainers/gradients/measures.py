"""The metrics of an analysis: their names, what they are, and their values from a tally."""

from __future__ import annotations

from trainers.gradients.summary import batch_losses, pair_cosines, sequence_deviation, signal
from trainers.gradients.tally import PAIRS, PARTS, Tally

REMOVED = "_removed"
_OF_LAW = "; what the vector-sum law makes of the measured cosines, norms and shares"
_SNR = {
    "snr": "mean norm of the summed clean gradients of a batch over that of the corrupt ones (the paper's)",
    "snr_corrected": "root of the ratio of their mean squared norms",
}
_RATIOS = _SNR | {name.replace("snr", "snr_law", 1): text + _OF_LAW for name, text in _SNR.items()}
_SPREADS = {
    "deviation": "standard deviation of that cosine over pairs",
    "min": "least of these cosines",
    "max": "largest of these cosines",
}
_LOSSES = {
    "loss": "the mean noisy loss of a batch, nats a token",
    "clean_loss": "the mean loss of a batch's true targets, nats a token",
}
_MOMENTS = {"mean": "mean", "variance": "variance", "deviation": "standard deviation"}


def _words() -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in PAIRS:
        one, other = pair.split("_")
        found[f"cosine_{pair}"] = f"mean cosine of a {one} and a {other} gradient of two sequences of a batch"
        found |= {f"cosine_{pair}_{end}": f"{text} ({one} and {other})" for end, text in _SPREADS.items()}
        found[f"cosine_{pair}{REMOVED}"] = f"cosine_{pair} with the mean gradient removed"
    plain = {f"norm_{part}": f"mean norm of the summed {part} gradients of a batch" for part in PARTS}
    plain |= {f"example_norm_{part}": f"mean norm of one sequence's {part} gradient" for part in PARTS}
    for name, text in (plain | _RATIOS).items():
        found[name] = text
        found[f"{name}{REMOVED}"] = f"{name} with the mean gradient removed"
    for loss, text in _LOSSES.items():
        found |= {f"{loss}_{end}": f"{moment} over batches of {text}" for end, moment in _MOMENTS.items()}
    found["sequence_loss_deviation"] = "standard deviation of the noisy loss of single sequences, nats a token"
    return found


METRICS = _words()


def values(tally: Tally, *, analysed: bool, removals: int, batch: int, samples: int) -> dict[str, float | None]:
    """All metrics, those of the first analysis; None where there is nothing to tell.

    Args:
        removals: 2 with the mean gradient removed as well, else 1.
        batch, samples: sequences a batch, and so far.
    """
    found: dict[str, float | None] = dict.fromkeys(METRICS)
    for removed in range(removals if analysed else 0):
        end = REMOVED if removed else ""
        for pair, cosines in pair_cosines(tally, 0, removed).items():
            found[f"cosine_{pair}{end}"] = cosines.mean
            if not removed:
                spread = (cosines.deviation, cosines.minimum, cosines.maximum)
                found |= {f"cosine_{pair}_{name}": value for name, value in zip(_SPREADS, spread, strict=True)}
        told = signal(tally, 0, removed, batch, samples)
        for part in PARTS:
            found[f"norm_{part}{end}"] = getattr(told, f"norm_{part}")
            found[f"example_norm_{part}{end}"] = getattr(told, f"example_norm_{part}")
        found |= {f"{name}{end}": getattr(told, name) for name in _RATIOS}
    for loss, spread_of in zip(_LOSSES, batch_losses(tally, samples // batch), strict=True):
        found |= {f"{loss}_{moment}": getattr(spread_of, moment) for moment in _MOMENTS}
    found["sequence_loss_deviation"] = sequence_deviation(tally, samples)
    return found
