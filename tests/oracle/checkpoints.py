"""Directories quantised as other tools write them, after the public definitions of their forms; nothing of those tools is needed.

Each kind gives the tensors that stand in the place of MODULE.weight, the matrix that they mean, and the table for config.json.
"""
from __future__ import annotations

import pathlib

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import small_models


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """The codes of every row one after another in words of 32 bits, lowest bits first."""
    flags = (codes[..., None] >> np.arange(bits)) & 1
    flags = flags.reshape(len(codes), -1)
    flags = np.pad(flags, ((0, 0), (0, -flags.shape[1] % 32)))
    words = (flags.reshape(len(codes), -1, 32).astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(-1)
    return words.astype(np.uint32).view(np.int32)


class Rounded:
    """A matrix as codes with a scale and a zero point for each group of columns, which `order` gathers."""

    def __init__(self, weight: torch.Tensor, bits: int, group: int, symmetric: bool, rng, scale_dtype=torch.float16, ordered=False):
        w = weight.detach().numpy().astype(np.float64)
        rows, columns = w.shape
        group = columns if group == -1 else group
        order = rng.permutation(columns) if ordered else np.arange(columns)
        self.g_idx = np.empty(columns, np.int32)
        self.g_idx[order] = np.arange(columns) // group
        grouped = w[:, order].reshape(rows, -1, group)
        low, high, most = grouped.min(-1), grouped.max(-1), 2**bits - 1
        if symmetric:
            scales, zeros = 2 * np.abs(grouped).max(-1) / most, np.full(low.shape, 2 ** (bits - 1))
        else:
            # Zero points anywhere, the ends included.
            scales, zeros = (high - low) / most, np.clip(np.rint(-low / (high - low) * most) + rng.integers(-9, 10, low.shape), 0, most)
        self.scales = torch.tensor(scales).to(scale_dtype)
        self.zeros = zeros.astype(np.int64)
        exact = self.scales.float().numpy()[:, self.g_idx]
        of_column = self.zeros[:, self.g_idx]
        self.codes = np.clip(np.rint(w / exact) + of_column, 0, most).astype(np.int64)
        self.weight = torch.tensor(exact * (self.codes - of_column).astype(np.float32))


def gptq(weight, rng, bits=4, group=32, symmetric=True, ordered=False, version=1, index=True):
    it = Rounded(weight, bits, group, symmetric, rng, ordered=ordered)
    zeros = (it.zeros.T - (version == 1)) & (2**bits - 1)
    parts = {"qweight": torch.tensor(packed(it.codes, bits).T.copy()), "qzeros": torch.tensor(packed(zeros, bits)), "scales": it.scales.T.contiguous()}
    if index or ordered:
        parts["g_idx"] = torch.tensor(it.g_idx)
    config = dict(quant_method="gptq", bits=bits, group_size=group, sym=symmetric, desc_act=ordered, checkpoint_format=["gptq", "gptq_v2"][version - 1])
    return parts, it.weight, config


def awq(weight, rng, group=32, symmetric=False):
    it = Rounded(weight, 4, group, symmetric, rng)
    # Within eight neighbours of the output dimension nibble i holds number ORDER[i].
    order = np.array([0, 2, 4, 6, 1, 3, 5, 7])

    def laid(rows):  # [n, out]
        return torch.tensor(packed(rows.reshape(len(rows), -1, 8)[..., order].reshape(len(rows), -1), 4))
    parts = {"qweight": laid(it.codes.T), "qzeros": laid(it.zeros.T), "scales": it.scales.T.contiguous()}
    return parts, it.weight, dict(quant_method="awq", bits=4, group_size=group, zero_point=not symmetric, version="gemm")


def compressed(weight, rng, kind="pack-quantized", bits=4, group=32, symmetric=True, ordered=False, dtype=torch.bfloat16):
    it = Rounded(weight, bits, group, symmetric, rng, scale_dtype=dtype, ordered=ordered)
    middle = 2 ** (bits - 1)
    parts = {"weight_scale": it.scales}
    if kind == "pack-quantized":
        parts |= {"weight_packed": torch.tensor(packed(it.codes, bits)), "weight_shape": torch.tensor(weight.shape, dtype=torch.int64)}
        if not symmetric:
            parts["weight_zero_point"] = torch.tensor(packed(it.zeros.T, bits).T.copy())
    else:
        parts["weight"] = torch.tensor((it.codes - middle).astype(np.int8))
        if not symmetric:
            parts["weight_zero_point"] = torch.tensor((it.zeros - middle).astype(np.int8))
    if ordered:
        parts["weight_g_idx"] = torch.tensor(it.g_idx)
    weights = dict(num_bits=bits, type="int", symmetric=symmetric, strategy="channel" if group == -1 else "group", group_size=None if group == -1 else group,
                   dynamic=False, actorder="group" if ordered else None, observer="minmax")
    config = dict(quant_method="compressed-tensors", format=kind, quantization_status="compressed", ignore=["lm_head"],
                  config_groups={"group_0": dict(targets=["Linear"], format=kind, weights=weights, input_activations=None, output_activations=None)})
    return parts, it.weight, config


def bitsandbytes(weight, rng):
    most = weight.abs().amax(1)
    codes = torch.round(weight * (127 / most[:, None])).to(torch.int8)
    parts = {"weight": codes, "SCB": most, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return parts, codes.float() * (most / 127)[:, None], dict(quant_method="bitsandbytes", load_in_8bit=True, llm_int8_threshold=6.0)


def write(folder: pathlib.Path, model, quantiser, seed=1, **options):
    """Saves a model with the weights of its layers quantised, and gives it those weights."""
    rng = np.random.default_rng(seed)
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    config = None
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or name == "lm_head":
            continue
        del tensors[name + ".weight"]
        parts, weight, config = quantiser(module.weight, rng, **options)
        tensors |= {f"{name}.{part}": tensor.contiguous() for part, tensor in parts.items()}
        with torch.no_grad():
            module.weight.copy_(weight)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    small_models.edit_config(folder, quantization_config=config)
    return model
