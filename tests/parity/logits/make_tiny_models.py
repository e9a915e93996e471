#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/tiny-models: a folder of a few kilobytes for each decoder architecture, as Transformers saves it, with
random weights and the logits that Transformers computes for a few rows of token ids.

    python make_tiny_models.py      (needs torch and transformers)
"""
import json
import pathlib
import shutil

import torch
from transformers import (LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)

TARGET = pathlib.Path(__file__).parents[2] / "data" / "tiny-models"
SHAPE = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0)
SCALED = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32, rope_theta=10000.0)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "llama3-scaled-rope": (LlamaForCausalLM, LlamaConfig(**SHAPE, rope_parameters=SCALED)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SHAPE, rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=True)),
    "phi3": (Phi3ForCausalLM, Phi3Config(**SHAPE)),
}


def randomise(model):
    """Biases and norms are constant in a new model: a reader that ignored them would go unnoticed."""
    for name, parameter in model.named_parameters():
        scale = 0.3 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5
        centre = 1.0 if "norm" in name else 0.0
        parameter.data = centre + scale * torch.randn(parameter.shape)


def write_published_rope(folder, config):
    """rope_theta and rope_scaling at the top, as every published Llama 3 has them (Transformers before 5)."""
    file = folder / "config.json"
    content = json.loads(file.read_text())
    content.pop("rope_parameters", None)
    scaling = {key: value for key, value in config.rope_parameters.items() if key != "rope_theta"}
    content |= {"rope_theta": config.rope_parameters["rope_theta"], "rope_scaling": scaling}
    file.write_text(json.dumps(content, indent=2) + "\n")


def main():
    for name, (kind, config) in MODELS.items():
        torch.manual_seed(7)
        model = kind(config).float().eval()
        randomise(model)
        model.tie_weights()
        folder = TARGET / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, max_shard_size="20KB" if name == "qwen2" else "1GB")
        if name == "llama3-scaled-rope":
            write_published_rope(folder, config)
        (folder / "generation_config.json").unlink(missing_ok=True)
        rows = [torch.randint(0, 48, (length,)).tolist() for length in (1, 7, 90)]
        with torch.no_grad():
            logits = [model(torch.tensor([row])).logits[0][-3:] for row in rows]
        expected = {"rows": rows, "lastLogits": [[[round(v, 7) for v in row] for row in block.tolist()] for block in logits]}
        (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


main()
