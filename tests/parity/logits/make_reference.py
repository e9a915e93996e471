#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes reference.json: logits of a GGUF model as Transformers computes them in float32.

    python make_reference.py MODEL.gguf      (needs gguf, tokenizers, torch and transformers)

Of each prompt: the token ids (under the published pre-tokenizer; Transformers' own reading of a GGUF ignores
tokenizer.ggml.pre, so its tokenizer is not used), and at a few positions the logits of sampled vocabulary entries, the
log of the sum of all exponentials, and the largest entry; and how far Transformers itself is from that in bfloat16.
"""
import copy
import json
import pathlib
import random
import sys

import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM

LONG = " ".join(f"Step {i}: the router sends token {i * 37 % 101} to expert {i % 8}, whose rank is {2 ** (i % 6)}." for i in range(31))
PROMPTS = [
    "The capital of France is",
    "<|im_start|>user\nWhat is 17 + 25?<|im_end|>\n<|im_start|>assistant\n42<|im_end|>\n",
    "1234567890 3.14159 1,000,000 2026-11-22 0x1F",
    "def rank(matrix, tolerance=1e-6):\n    values = np.linalg.svd(matrix, compute_uv=False)\n    return int((values > tolerance).sum())\n",
    "日本語の文章と中文字符，还有한국어 문장입니다。",
    "Привет, мир! Ελληνικά. العربية. עברית. हिन्दी",
    "😀👩‍👩‍👧🇩🇪 naïve café — “quotes” ½ ²",
    "   leading blanks\t\ttabs\n\n\nand lines   ",
    "{\"key\": [1, 2.5, null], \"text\": \"a\\\"b\"}",
    "SELECT layer, AVG(rank) FROM runs WHERE family = 'mixlora' GROUP BY layer;",
    "a",
    "<|im_start|>system\nYou are terse.<|im_end|>\n<|im_start|>user\nList three primes.<|im_end|>\n<|im_start|>assistant\n",
    LONG,
]


def published_tokenizer(path):
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    specials = [t for t, kind in zip(tokens, fields["tokenizer.ggml.token_type"].contents()) if kind == 3]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return tokenizer


def main():
    path = pathlib.Path(sys.argv[1])
    tokenizer = published_tokenizer(path)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    half = copy.deepcopy(model).bfloat16()
    sample = sorted(random.Random(1).sample(range(model.config.vocab_size), 64))
    prompts = []
    for text in PROMPTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids[:600]
        count = len(ids)
        positions = sorted({0, count // 3, count // 2, max(0, count - 2), count - 1})
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0][positions]
            rounded = half(torch.tensor([ids])).logits[0][positions].float()
        prompts.append({
            "text": text, "ids": ids, "positions": positions,
            "logits": [[round(value, 5) for value in row] for row in logits[:, sample].tolist()],
            "logSumExp": [round(value, 5) for value in logits.logsumexp(-1).tolist()],
            "argmax": logits.argmax(-1).tolist(),
            # A first token carries the attention sink's huge activations: its rounding says little.
            "bfloat16Difference": round((rounded - logits)[1:, sample].pow(2).mean().sqrt().item(), 5) if count > 1 else None,
        })
    result = pathlib.Path(__file__).parent / "reference.json"
    lines = ",\n".join(json.dumps(prompt, ensure_ascii=False, separators=(",", ":")) for prompt in prompts)
    result.write_text(f'{{"sample":{json.dumps(sample, separators=(",", ":"))},\n"prompts":[\n{lines}\n]}}\n', encoding="utf-8")


main()
