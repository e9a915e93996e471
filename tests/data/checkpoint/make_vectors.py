#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the reference files of this folder (needs the packages gguf, numpy, safetensors, torch and transformers).

blocks.safetensors     for each quantised type: random blocks as they lie in a file (NAME.blocks, U8) and their values
                       by the gguf package's dequantisation (NAME.values, F32)
tiny-llama.gguf        a one-layer Llama written by gguf's writer, q and k permuted as llama.cpp's converter does
tiny-llama.safetensors the same weights under Hugging Face's names, unpermuted
tiny-vocab.gguf        a llama with a tokenizer, Llama 3.1's rotary factors (from transformers) and almost no weights
tiny-qwen2.gguf, tiny-qwen3.gguf
                       one-layer models with biases, and with norms of q and k; their weights are 0, 1, 2, ...
plain.safetensors      every plain type, written by the safetensors package
"""
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

HERE = pathlib.Path(__file__).parent
HIDDEN, HEADS, KV, HEAD, FF, VOCAB = 256, 2, 1, 8, 32, 32


def random_blocks(rng, kind, count):
    """Random bytes, but for the half-precision scales: of those a few are subnormal, zero or negative."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    halves = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q4_K: [0, 2], Type.Q6_K: [208]}[kind]
    for at in halves:
        scales = rng.normal(0, 0.05, count).astype(np.float16)
        scales[:4] = [6e-8, 0, -1.5, 3e-5]
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def permute(weights, heads):
    """LlamaModel.permute of llama.cpp's convert_hf_to_gguf.py."""
    return (weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape))


def unpermute(weights, heads):
    return (weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape))


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tiny_vocab():
    config = LlamaConfig(hidden_size=64, num_attention_heads=1, max_position_embeddings=131072, rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192})
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1.0 / 500000.0 ** (torch.arange(0, 64, 2).float() / 64)
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    tokens = [chr(c) for c in printable] + [chr(256 + i) for i in range(256 - len(printable))] + ["in", "er", "Ġin", "<|end|>"]
    writer = gguf.GGUFWriter(HERE / "tiny-vocab.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(131072)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_merges(["i n", "e r", "Ġ in"])
    writer.add_token_types([1] * 259 + [3])
    writer.add_eos_token_id(259)
    writer.add_tensor("rope_freqs.weight", (plain / scaled).numpy().astype(np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((64, 64), np.float16))
    writer.add_tensor("output_norm.weight", np.ones(64, np.float32))
    write(writer)


def tiny_qwen(architecture):
    writer = gguf.GGUFWriter(HERE / f"tiny-{architecture}.gguf", architecture)
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(8)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)

    def add(name, *shape):
        writer.add_tensor(name, np.arange(np.prod(shape), dtype=np.float32).reshape(shape))

    add("token_embd.weight", 10, 16)
    add("output.weight", 10, 16)
    add("blk.0.attn_q.weight", 16, 16)
    add("blk.0.attn_k.weight", 8, 16)
    if architecture == "qwen2":
        add("blk.0.attn_q.bias", 16)
        add("blk.0.attn_k.bias", 8)
    else:
        add("blk.0.attn_q_norm.weight", 8)
        add("blk.0.attn_k_norm.weight", 8)
    write(writer)


def main():
    rng = np.random.default_rng(7)
    blocks = {}
    for kind in (Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q6_K):
        raw = random_blocks(rng, kind, 12)
        blocks[f"{kind.name}.blocks"] = torch.from_numpy(raw)
        blocks[f"{kind.name}.values"] = torch.from_numpy(gguf.dequantize(raw, kind).astype(np.float32))
    save_file(blocks, HERE / "blocks.safetensors", metadata={"format": "pt"})

    writer = gguf.GGUFWriter(HERE / "tiny-llama.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FF)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_freq_base(50000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_array("test.integers", [3, -1, 2])
    writer.add_array("test.floats", [0.5, -2.0])
    writer.add_bool("test.flag", True)
    expected = {}

    def add(name, hf_name, shape, kind, heads=0):
        if kind in (Type.F32, Type.F16):
            data = rng.normal(0, 1, shape).astype(np.float32 if kind == Type.F32 else np.float16)
            values = data.astype(np.float32)
            if heads:
                data = permute(data, heads)
            writer.add_tensor(name, data)
        else:
            if kind == Type.BF16:
                raw = gguf.quantize(rng.normal(0, 1, shape).astype(np.float32), kind)
            else:
                per_row = shape[1] // gguf.GGML_QUANT_SIZES[kind][0]
                raw = random_blocks(rng, kind, shape[0] * per_row).reshape(shape[0], -1)
            values = gguf.dequantize(raw, kind).astype(np.float32).reshape(shape)
            if heads:
                values = unpermute(values, heads)
            writer.add_tensor(name, raw, raw_dtype=kind)
        expected[hf_name] = torch.from_numpy(np.ascontiguousarray(values))

    layer = "model.layers.0."
    add("token_embd.weight", "model.embed_tokens.weight", (VOCAB, HIDDEN), Type.F16)
    add("blk.0.attn_norm.weight", layer + "input_layernorm.weight", (HIDDEN,), Type.F32)
    add("blk.0.attn_q.weight", layer + "self_attn.q_proj.weight", (HEADS * HEAD, HIDDEN), Type.Q4_K, HEADS)
    add("blk.0.attn_k.weight", layer + "self_attn.k_proj.weight", (KV * HEAD, HIDDEN), Type.F32, KV)
    add("blk.0.attn_v.weight", layer + "self_attn.v_proj.weight", (KV * HEAD, HIDDEN), Type.Q6_K)
    add("blk.0.attn_output.weight", layer + "self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD), Type.BF16)
    add("blk.0.ffn_norm.weight", layer + "post_attention_layernorm.weight", (HIDDEN,), Type.F32)
    add("blk.0.ffn_gate.weight", layer + "mlp.gate_proj.weight", (FF, HIDDEN), Type.Q8_0)
    add("blk.0.ffn_up.weight", layer + "mlp.up_proj.weight", (FF, HIDDEN), Type.Q4_0)
    add("blk.0.ffn_down.weight", layer + "mlp.down_proj.weight", (HIDDEN, FF), Type.Q4_1)
    add("output_norm.weight", "model.norm.weight", (HIDDEN,), Type.F32)
    write(writer)
    save_file(expected, HERE / "tiny-llama.safetensors", metadata={"format": "pt"})

    tiny_vocab()
    tiny_qwen("qwen2")
    tiny_qwen("qwen3")

    save_file({
        "f64": torch.tensor([[1.5, -2.25]], dtype=torch.float64),
        "f32": torch.tensor([0.1, -1e-40, float("inf")]),
        "f16": torch.tensor([0.1, 6e-8, -65504.0], dtype=torch.float16),
        "bf16": torch.tensor([0.1, 3e38, -1e-40], dtype=torch.bfloat16),
        "i64": torch.tensor([-(2 ** 62), 5]),
        "i32": torch.tensor([-7], dtype=torch.int32),
        "i16": torch.tensor([-7], dtype=torch.int16),
        "i8": torch.tensor([-7], dtype=torch.int8),
        "u8": torch.tensor([250], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros((0, 4)),
    }, HERE / "plain.safetensors", metadata={"format": "pt", "note": "größer"})


main()
