"""Tokenize texts to token ids of a fixed length."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poolwright.core.errors import MissingExtra, RecipeError

Tokens = tuple[np.ndarray, np.ndarray]
"""Token ids and the mask that is 1 where there is a token: int64 (n, context) each."""

Tokenizer = Callable[[Sequence[str]], Tokens]

_WORD = re.compile(r"\w+")
_UNKNOWN = 1


def words_tokenizer(file: Path, context: int) -> Tokenizer:
    """Build a tokenizer of lower-case words by vocabulary line; line 0 is padding, line 1 any unknown word."""
    lines = file.read_text(encoding="utf-8").split("\n")
    ids = {word.rstrip("\r"): line for line, word in enumerate(lines) if word.strip()}
    if len(ids) < 3:
        raise RecipeError(f"{file}: a vocabulary has one word per line, after '<pad>' and '<unk>'")

    def tokenize(texts: Sequence[str]) -> Tokens:
        tokens = np.zeros((len(texts), context), np.int64)
        mask = np.zeros_like(tokens)
        for row, text in enumerate(texts):
            found = [ids.get(word, _UNKNOWN) for word in _WORD.findall(text.lower())[:context]]
            tokens[row, : len(found)] = found
            mask[row, : len(found)] = 1
        return tokens, mask

    return tokenize


def huggingface_tokenizer(file: Path, context: int) -> Tokenizer:
    """Build the tokenizer of a `tokenizer.json` of the tokenizers library, cut and padded to `context`.

    Raises:
        MissingExtra: tokenizers is not installed.
        RecipeError: the file is not a tokenizer.json.
    """
    try:
        import tokenizers
    except ModuleNotFoundError:
        raise MissingExtra("tokenizers", f"the tokenizer {file.name}") from None
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise RecipeError(f"{file}: not a tokenizer.json: {error}") from None
    padding: dict[str, Any] = tokenizer.padding or {}
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(
        length=context, pad_id=padding.get("pad_id", 0), pad_token=padding.get("pad_token", "[PAD]")
    )

    def tokenize(texts: Sequence[str]) -> Tokens:
        encoded = tokenizer.encode_batch(list(texts))
        tokens = np.array([one.ids for one in encoded], np.int64).reshape(len(texts), context)
        mask = np.array([one.attention_mask for one in encoded], np.int64).reshape(len(texts), context)
        return tokens, mask

    return tokenize


def clip_tokenizer(file: Path | None, context: int) -> Tokenizer:
    """Build OpenAI's byte-pair tokenizer of CLIP, by open_clip."""
    from poolwright.models.encoders.networks.openclip import import_open_clip

    open_clip = import_open_clip("the CLIP tokenizer")
    options = {} if file is None else {"bpe_path": str(file)}
    tokenizer = open_clip.SimpleTokenizer(context_length=context, **options)

    def tokenize(texts: Sequence[str]) -> Tokens:
        tokens = np.asarray(tokenizer(list(texts)), np.int64).reshape(len(texts), context)
        return tokens, (tokens != 0).astype(np.int64)

    return tokenize
