"""The noise of a language trial, its law bound to what it follows: the corpus's frequencies, or a teacher."""

from __future__ import annotations

import torch

from trainers.datasets.text.corpus import Corpus
from trainers.language.laws import TAUGHT, TEACHER, material_of
from trainers.language.spec import LanguageSpec
from trainers.language.teacher import Teacher
from trainers.language.weights import Needs, needed
from trainers.noise.tokens import Sampler, TokenCorruption, token_corruption
from trainers.protocol import BoundLaw, NoiseLaw
from trainers.registry import noise_law


def corruption(spec: LanguageSpec, corpus: Corpus, needs: Needs, device: torch.device) -> TokenCorruption:
    """Raises:
    SpecError: the law does not fit, or what it follows cannot be read.
    """
    law: NoiseLaw = noise_law(spec.noise.law)
    sampler: Sampler | None = None
    material = material_of(spec)
    if material == "frequencies" and isinstance(law, BoundLaw):
        law = law.bind(corpus.frequencies)
    elif material in TAUGHT and isinstance(law, BoundLaw):
        path = needed(needs, TEACHER)
        model = Teacher(path, corpus.tokenizer_sha256, corpus.vocabulary, spec.context, device)
        if material == "embedding":
            law = law.bind(model.embedding())
        else:
            sampler = model.sample
    return token_corruption(spec.noise, corpus.vocabulary, spec.seed, law, context=spec.context, sampler=sampler)
