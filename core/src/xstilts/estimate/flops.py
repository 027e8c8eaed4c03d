"""How many floating-point operations (FLOPs) a model takes for a sequence. A multiplication with an addition are two.

Forward 2 FLOPs a weight and token, backward twice that: C = 6 N for a training token, 2 N for one of inference, with N
the weights without embeddings (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Attention's own products are not in N:
12 L H Q T more a training token, so 4 L H Q T forward, for L layers, heads H of width Q and sequences of T tokens (PaLM,
Chowdhery et al. 2022, arXiv:2204.02311, appendix B).
"""

from __future__ import annotations

from xstilts.catalogue.sizes import Size

BACKWARD: float = 2  # of the forward pass
BACKWARD_FROZEN: float = 1  # where weights are frozen and have no gradients: low-rank adapters
MASKED: float = 0.15  # of the tokens have logits in masked language modelling (ContinuedPretraining.masked)


def encode(size: Size, length: float) -> float:
    """Forward FLOPs of the encoder on one sequence of so many tokens."""
    attention = 4 * size.layers * size.attention * (length + size.relative)
    return length * (2 * size.encoder_weights + attention)


def decode(size: Size, source: float, target: float) -> float:
    """Forward FLOPs of the decoder and its language-model head that say `target` tokens of an encoded sequence."""
    keys_and_values = 2 * size.hidden * size.attention * size.decoder_layers  # of the encoder's tokens alone
    weights = size.decoder_weights - keys_and_values + size.vocabulary * size.hidden
    attention = 4 * size.decoder_layers * size.attention * (source + target)
    return source * 2 * keys_and_values + target * (2 * weights + attention)


def masked_language_model(size: Size, length: float) -> float:
    """Forward FLOPs of masked language modelling on one sequence: the encoder, and logits where something is masked."""
    head = 2 * (size.hidden**2 + size.vocabulary * size.hidden)
    return encode(size, length) + MASKED * length * head
