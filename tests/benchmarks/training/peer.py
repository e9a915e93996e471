#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The other side of compare.py: the same fine-tune with Transformers and PEFT.

    python peer.py prepare FOLDER MODEL.gguf     the base model in float32 as a Hugging Face folder
    python peer.py train FOLDER OPTIONS          prints one JSON line
"""
import copy
import json
import pathlib
import sys
import time


class MersenneTwister64:
    """std::mt19937_64, to draw the batches that our side draws (core/train/batches.cpp)."""

    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.state = [seed & self.MASK]
        for i in range(1, 312):
            last = self.state[-1]
            self.state.append((6364136223846793005 * (last ^ (last >> 62)) + i) & self.MASK)
        self.index = 312

    def __call__(self):
        if self.index == 312:
            upper, lower = self.MASK ^ 0x7FFFFFFF, 0x7FFFFFFF
            for i in range(312):
                x = (self.state[i] & upper) | (self.state[(i + 1) % 312] & lower)
                self.state[i] = self.state[(i + 156) % 312] ^ (x >> 1) ^ (0xB5026F5AA96619E9 if x & 1 else 0)
            self.index = 0
        x = self.state[self.index]
        self.index += 1
        x ^= (x >> 29) & 0x5555555555555555
        x ^= (x << 17) & 0x71D67FFFEDA60000
        x ^= (x << 37) & 0xFFF7EEE000000000 & self.MASK
        return x ^ (x >> 43)


def batches(lengths, size, seed, epoch):
    random = MersenneTwister64(seed * 0x9E3779B97F4A7C15 + epoch)

    def shuffle(items):
        for i in range(len(items), 1, -1):
            j = random() % i
            items[i - 1], items[j] = items[j], items[i - 1]

    rows = list(range(len(lengths)))
    shuffle(rows)
    order = []
    for start in range(0, len(rows), 8 * size):
        window = sorted(rows[start:start + 8 * size], key=lambda row: lengths[row])
        order += [window[first:first + size] for first in range(0, len(window), size)]
    shuffle(order)
    return order


def read_rows(options):
    """[(ids, prompt length)] as core/text makes them: the model's chat template, loss on the answer and its end."""
    import jinja2
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    fields = GGUFReader(options["model"]).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    special = [t for t, kind in zip(tokens, fields["tokenizer.ggml.token_type"].contents()) if kind == 3]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    template = jinja2.Template(fields["tokenizer.chat_template"].contents())
    end = tokenizer.token_to_id("<|im_end|>")
    rows = []
    for row in json.loads(pathlib.Path(options["data"]).read_text())[:options["rows"]]:
        question = row["instruction"] + ("\n" + row["input"] if row.get("input") else "")
        prompt = template.render(messages=[{"role": "user", "content": question}], add_generation_prompt=True)
        answer = tokenizer.encode(row["output"], add_special_tokens=False).ids + [end]
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids[-(options["max_length"] - len(answer)):]
        rows.append((ids + answer, len(ids)))
    return rows


def prepare(folder, model):
    import torch
    from transformers import AutoModelForCausalLM

    path = pathlib.Path(model)
    read = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # A model that came from a GGUF refuses to be saved: its weights go into a plain one.
    config = copy.deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)


def train(folder, options):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(options["threads"])
    torch.manual_seed(options["seed"])
    rows = read_rows(options)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.config.use_cache = False
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=16, lora_dropout=0.0, target_modules=modules, task_type="CAUSAL_LM"))
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=2e-4, weight_decay=0.0)
    steps = options["warmup"] + options["steps"]
    lengths = [len(ids) for ids, _ in rows]
    order = []
    while len(order) < steps:
        order += batches(lengths, options["batch"], options["seed"], len(order) // -(-len(rows) // options["batch"]))
    result = {"seconds": [], "tokens": [], "loss": [], "samples": []}
    for batch in order[:steps]:
        chosen = [rows[i] for i in batch]
        longest = max(len(ids) for ids, _ in chosen)
        ids = torch.zeros(len(chosen), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, -100)
        for i, (row, prompt) in enumerate(chosen):
            ids[i, :len(row)] = torch.tensor(row)
            mask[i, :len(row)] = 1
            labels[i, prompt:len(row)] = ids[i, prompt:len(row)]
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        result["seconds"].append(time.perf_counter() - start)
        result["loss"].append(loss.item())
        result["tokens"].append(sum(len(row) - 1 for row, _ in chosen))
        result["samples"].append(len(chosen))
    print(json.dumps(result))


if sys.argv[1] == "prepare":
    prepare(sys.argv[2], sys.argv[3])
else:
    train(sys.argv[2], json.loads(sys.argv[3]))
