"""Writes a transformers model as a GGUF file with the gguf package, in the conventions of that format.

Names come from the package's own table. Packing rounds weights, so the model given is changed to what the file really says.
"""
from __future__ import annotations

import pathlib

import gguf
import numpy as np
import torch

ARCHITECTURES = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3, "gpt2": gguf.MODEL_ARCH.GPT2,
                 "gemma3_text": gguf.MODEL_ARCH.GEMMA3, "smollm3": gguf.MODEL_ARCH.SMOLLM3, "bert": gguf.MODEL_ARCH.BERT, "phi3": gguf.MODEL_ARCH.PHI3, "mixtral": gguf.MODEL_ARCH.LLAMA,
                 "qwen2_moe": gguf.MODEL_ARCH.QWEN2MOE, "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
                 "minicpm": gguf.MODEL_ARCH.MINICPM}
# Where the half-precision scales of a block stand, for types that the package reads and does not write.
SCALES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,)}
# The mean of the numbers that the second scale is taken from: with it the weights of random blocks have the mean 0.
MEANS = {"Q2_K": 1.5, "Q4_K": 7.5, "Q5_K": 15.5}
INTERLEAVED = {"llama", "smollm3", "minicpm", "mixtral"}  # q and k hold rotary pairs side by side


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def in_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def packed(rng: np.random.Generator, rows: np.ndarray, kind: gguf.GGMLQuantizationType) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of the type, and the numbers they stand for. Types that the package cannot write get random blocks of the size of `rows`."""
    if kind.name in SCALES:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (rows.size // elements, size), dtype=np.uint8)
        scales = np.ones((len(blocks), 1))
        for _ in range(2):  # first to see how far the numbers spread
            for at, mean in zip(SCALES[kind.name], (1, MEANS.get(kind.name, 1))):
                blocks[:, at:at + 2] = (scales * mean).astype(np.float16).view(np.uint8)
            spread = gguf.quants.dequantize(blocks, kind).std() / rows.std()
            scales = rng.uniform(0.7, 1.3, scales.shape) / spread
        data = blocks.reshape(rows.shape[0], -1)
    else:
        data = gguf.quants.quantize(rows, kind)
    return data, gguf.quants.dequantize(data, kind).reshape(rows.shape)


def rope_divisors(parameters: dict, pairs: int) -> np.ndarray:
    """What converters write for llama3 scaling (Meta's definition): a divisor of every pair's frequency."""
    frequency = parameters["rope_theta"] ** (-np.arange(pairs) / pairs)
    wavelength = 2 * np.pi / frequency
    low, high, factor = (parameters[k] for k in ("low_freq_factor", "high_freq_factor", "factor"))
    ratio = parameters["original_max_position_embeddings"] / wavelength
    smooth = (ratio - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.where(ratio > high, 1.0, np.where(ratio < low, factor, between)).astype(np.float32)


def add_rotation(writer: gguf.GGUFWriter, config, head_dim: int):
    parameters = dict(config.rope_parameters)
    parameters = parameters.get("full_attention", parameters)
    writer.add_rope_freq_base(parameters["rope_theta"])
    kind = parameters["rope_type"]
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type({"linear": gguf.RopeScalingType.LINEAR, "yarn": gguf.RopeScalingType.YARN}[kind])
        writer.add_rope_scaling_factor(parameters["factor"])
    if "original_max_position_embeddings" in parameters:
        writer.add_rope_scaling_orig_ctx_len(parameters["original_max_position_embeddings"])
    if kind == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_divisors(parameters, head_dim // 2))
    if kind == "longrope":
        if "factor" in parameters:
            writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
            writer.add_rope_scaling_factor(parameters["factor"])
            writer.add_rope_scaling_attn_factors(parameters["attention_factor"])
        else:  # converters of phi3 write no type
            original = parameters["original_max_position_embeddings"]
            writer.add_rope_scaling_attn_factors((1 + np.log(config.max_position_embeddings / original) / np.log(original))**0.5)
        for length in ("long", "short"):
            writer.add_tensor(f"rope_factors_{length}.weight", np.array(parameters[f"{length}_factor"], np.float32))


def add_metadata(writer: gguf.GGUFWriter, config, family: str):
    rms = getattr(config, "rms_norm_eps", None)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(4 * config.n_embd if family == "gpt2" else config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    if rms is None:
        writer.add_layer_norm_eps(getattr(config, "layer_norm_eps", None) or config.layer_norm_epsilon)
        return
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_layer_norm_rms_eps(rms)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(int(head_dim * config.rope_parameters.get("partial_rotary_factor", 1)))
    if getattr(config, "num_experts_per_tok", 0):
        add_experts(writer, config)
    if family in ("gemma3_text", "phi3"):
        writer.add_sliding_window(config.sliding_window or 0)
    add_rotation(writer, config, head_dim)


def add_experts(writer: gguf.GGUFWriter, config):
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    if hasattr(config, "moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if hasattr(config, "shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)


def pieces(model):
    """Every tensor of the file once, by its name in transformers, as a view of the model's parameter."""
    done = set()
    for name, parameter in model.named_parameters():
        if parameter.data_ptr() in done or "pooler" in name:
            continue
        done.add(parameter.data_ptr())
        data = parameter.detach()
        if name.endswith("experts.gate_up_proj"):
            for part, view in zip(("gate", "up"), data.chunk(2, 1)):
                yield name.replace("gate_up_proj", f"{part}_proj.weight"), view
        else:
            yield name + ".weight" * name.endswith("experts.down_proj"), data


def write(path: pathlib.Path, model, rng: np.random.Generator, kind: str = "F32", family: str = "", metadata=lambda writer: None):
    """The file, with matrices of the type `kind` and everything else in f32; `model` gets the rounded weights."""
    config = model.config
    family = family or config.model_type
    architecture = ARCHITECTURES[family]
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    add_metadata(writer, config, family)
    metadata(writer)
    for name, parameter in pieces(model):
        rows = np.ascontiguousarray(parameter.numpy())
        heads = 0
        if family in INTERLEAVED and ("q_proj" in name or "k_proj" in name):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            rows = interleaved(rows, heads)
        transposed = family == "gpt2" and rows.ndim == 2 and ".h." in name
        rows = np.ascontiguousarray(rows.T if transposed else rows)
        plus_one = family == "gemma3_text" and rows.ndim == 1
        stored_name = names.get_name(name.removeprefix("bert."), try_suffixes=(".weight", ".bias"))
        if rows.ndim == 1 or kind == "F32" or "position" in stored_name or "ffn_gate_inp" in stored_name:
            # The gate of a shared expert is a vector there.
            rows = rows[0] if "inp_shexp" in stored_name else rows
            writer.add_tensor(stored_name, rows + 1 if plus_one else rows)
            continue
        kind_number = gguf.GGMLQuantizationType[kind]
        data, rounded = packed(rng, rows.reshape(-1, rows.shape[-1]), kind_number)
        writer.add_tensor(stored_name, data.reshape(*rows.shape[:-1], -1), raw_dtype=kind_number)
        rounded = rounded.reshape(rows.shape)
        rounded = in_halves(rounded, heads) if heads else rounded
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(rounded.T if transposed else rounded)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
