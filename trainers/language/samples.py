"""Text that a finished model writes: the artifact ``samples``."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import nn

from trainers.datasets.text.corpus import Corpus
from trainers.models.language import LanguageModel
from trainers.protocol import Artifact
from trainers.streams import uniforms, words

ROLE = "samples"
#: Purpose of the stream that the tokens are drawn from: block ``sample x TOKENS + place``.
PURPOSE = "samples"
#: The original's prompt and settings (nanoGPT's sample.py).
PROMPT = "What is the answer to life, the universe, and everything?"
TOKENS = 100
TEMPERATURE = 0.8
TOP = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids without the prompt's, and their text."""

    ids: tuple[int, ...]
    text: str


def artifact(model: nn.Module, corpus: Corpus, context: int, seed: int, count: int, device: torch.device) -> Artifact:
    """``count`` samples as JSON: prompt, settings, token ids and text of each."""
    samples = generate(model, corpus, context, seed, count, device)
    about = {
        "prompt": PROMPT,
        "temperature": TEMPERATURE,
        "top_k": TOP,
        "samples": [{"ids": one.ids, "text": one.text} for one in samples],
    }
    return Artifact(ROLE, f"{ROLE}.json", json.dumps(about, indent=1).encode())


@torch.inference_mode()
def generate(
    model: nn.Module, corpus: Corpus, context: int, seed: int, count: int, device: torch.device
) -> tuple[Sample, ...]:
    """Continuations of the prompt by 100 tokens, drawn from the 200 most probable by (seed, sample, place)."""
    network: LanguageModel = model  # type: ignore[assignment]
    start = corpus.tokenizer.encode(PROMPT) or [0]
    u = torch.from_numpy(uniforms(words(seed, PURPOSE, 0, count * TOKENS)[:, 0]).reshape(count, TOKENS))
    ids = torch.tensor([start] * count, dtype=torch.int64, device=device)
    for place in range(TOKENS):
        states = network.hidden(ids[:, -context:])[:, -1]
        logits = (network.lm_head(states).double() / TEMPERATURE)[:, : corpus.vocabulary]
        top, chosen = logits.topk(min(TOP, corpus.vocabulary), dim=-1)
        cumulative = top.softmax(-1).cumsum(-1).cpu()  # on a GPU a sum along a row is not the same each time
        at = torch.searchsorted(cumulative, u[:, place, None].contiguous() * cumulative[:, -1:], right=True)
        at = at.clamp_(max=top.shape[1] - 1).to(device)
        ids = torch.cat([ids, chosen.gather(1, at)], dim=1)
    written = [tuple(row) for row in ids[:, len(start) :].tolist()]
    return tuple(Sample(one, corpus.tokenizer.decode(one)) for one in written)
