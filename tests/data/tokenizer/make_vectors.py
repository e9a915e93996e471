#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the reference vectors of this folder with the `tokenizers` library.

    python make_vectors.py MODEL.gguf      (needs the packages gguf and tokenizers)

smollm_vectors.jsonl   texts and ids of SmolLM2's tokenizer: the vocabulary and merges of the GGUF under the published
                       pre-tokenizer (each digit split first, then GPT-2's pattern)
NAME.json, NAME_vectors.jsonl
                       small tokenizers trained here, each with the pre-tokenizer, normalizer and options of a model
                       family, and their vectors
A line is {"t": text, "i": ids with special tokens parsed, "d": bytes that the vocabulary lacks}.
"""
import json
import pathlib
import random
import sys
import unicodedata

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
WORDS = ("the model adapts its rank while training expert router gate attention residual don't I'll we've they're it's "
         "HTTPServer camelCase snake_case x+=1; return self.value() if (a<b) && !c {\"key\": [1, 2.5]} naïve café Ångström "
         "übergroß Straße façade jalapeño 日本語 中文字符 한국어 русский язык ελληνικά עברית العربية हिन्दी ไทย "
         "😀 👩‍👩‍👧 🇩🇪 ½ ² Ⅷ ٣٤ १२ 一二三 µ … — “quotes” «guillemets» \u00ad \u200b \ufeff").split(" ")
SPACES = [" ", "  ", "\n", "\n\n", "\t", " \n", "\r\n", "   ", "\u00a0", "\u3000", "\u2028", "\u180e", "\x85", "\x0b", "\x1f"]
EDGE = ["", " ", "  ", "\n", " \n ", "a", " a", "a ", "\t\ta", "a\n\n\nb", "1", "12", "1234567890", "3.14159", " 42", "1a2b3c",
        "1,234,567.89", "2+2=4", "'s", "don't", "DON'T", "I'LL", "'ſ", "\x00", "a\x00b", "\x01\x02\x1f\x7f", "\u0080\u009f",
        "\ufffd", "\U0010ffff", "\ue000", "e\u0301", "\u1100\u1161\u11a8", "\u212b", "A\u030a", "\u0344", "\ufb01", "ﷺ", "ǅ", "İi",
        "½⅓", "²³", "ⅧⅨ", "①②", "٣٤٥", "१२३", "𝟘𝟙", "一二三", "〇", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "e\u0301\u0323", "\u0323\u0301e",
        "        if x:\n            return\n", "a" * 300, " " * 200, "\n" * 50, "ab" * 150, "!" * 70, "-=" * 40, "क्षि" * 20]


def texts(count, seed, specials):
    random.seed(seed)
    result = list(EDGE)
    for special in specials:
        result += [special, f"a{special}b", f" {special} ", special * 2, special[:-1], f"{special[0]}{special}", f"\n {special}\t x"]
    assigned = [c for c in range(0x20, 0x2FA1E) if unicodedata.category(chr(c)) not in ("Cs", "Cn")]
    while len(result) < count:
        kind = random.random()
        if kind < 0.55:
            parts = []
            for _ in range(random.randint(1, 9)):
                parts.append(random.choice(WORDS) if random.random() < 0.8 else str(random.randint(0, 10 ** random.randint(1, 9))))
                if random.random() < 0.85:
                    parts.append(random.choice(SPACES) if random.random() < 0.4 else " ")
                if random.random() < 0.06:
                    parts.append(random.choice(specials))
            result.append("".join(parts))
        elif kind < 0.75:
            result.append("".join(chr(random.choice(assigned)) for _ in range(random.randint(1, 12))))
        elif kind < 0.9:
            alphabet = "ab AB12'\n\t.,!?<|>_-=/\\\"(){}[]#@$%^&*~`é漢😀٣\u0301"
            result.append("".join(random.choice(alphabet) for _ in range(random.randint(1, 40))))
        else:
            result.append("".join(random.choice(SPACES + ["a", "1", ".", "é"]) for _ in range(random.randint(1, 20))))
    return result


def write_vectors(name, tokenizer, items, missing, specials):
    alphabet = byte_alphabet()
    with open(HERE / name, "w", encoding="utf-8") as file:
        for text in items:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            plain = text
            for special in specials:
                plain = plain.replace(special, "")
            dropped = sum(alphabet[byte] in missing for byte in plain.encode())
            file.write(json.dumps({"t": text, "i": ids, "d": dropped}, ensure_ascii=False, separators=(",", ":")) + "\n")


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(printable))
    return table


def smollm(path, count):
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    specials = [t for t, kind in zip(tokens, fields["tokenizer.ggml.token_type"].contents()) if kind == 3]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    missing = set(byte_alphabet().values()) - set(tokens)
    items = texts(count, 1, specials)
    assert count < 10000 or missing
    write_vectors("smollm_vectors.jsonl", tokenizer, items, missing, specials)


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def small(name, pre_tokenizer, added, count, normalizer=None, ignore_merges=False, string_merges=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([" ".join(random.Random(2).choices(WORDS, k=4000))], trainer)
    content = json.loads(tokenizer.to_str())
    content["model"]["ignore_merges"] = ignore_merges
    if ignore_merges:  # words that no merge leads to
        for word in ["Ġrouter", "日本", "Ġ42", "123"]:
            content["model"]["vocab"].setdefault(word, len(content["model"]["vocab"]))
    if string_merges:
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_tokens(added)
    content = json.loads(tokenizer.to_str())
    if string_merges:
        content["model"]["merges"] = [pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"]]
    (HERE / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    names = [token.content for token in added]
    write_vectors(f"{name}_vectors.jsonl", tokenizer, texts(count, 3, names), set(), names)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior, invert),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    smollm(sys.argv[1], 1800 * count)
    special = [AddedToken(token, special=True, normalized=False) for token in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]]
    small("qwen2", split(QWEN2), special + [AddedToken("<tool_call>", special=False, normalized=False)], 400 * count,
          normalizer=normalizers.NFC(), string_merges=True)
    small("llama3", split(LLAMA3), [AddedToken("<|eot_id|>", special=True, normalized=False)], 400 * count, ignore_merges=True)
    small("phi4", split(LLAMA3, "removed", True),
          [AddedToken("<|im_sep|>", special=True, normalized=False, lstrip=True, rstrip=True),
           AddedToken("rank", special=False, normalized=True, single_word=True)], 400 * count)
    small("gpt2", pre_tokenizers.ByteLevel(add_prefix_space=True), [AddedToken("<mask>", special=True, normalized=False, lstrip=True)],
          300 * count)


main()
