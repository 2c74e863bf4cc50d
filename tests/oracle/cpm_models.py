"""CPM-Ant and CPM-Bee to compare with: transformers' CpmAnt, its texts predicted instead of given, and a small definition of CPM-Bee."""
from __future__ import annotations

import json
import math
import pathlib
import random

import torch
import transformers as hf
from safetensors.torch import save_file

import small_models


def ant(rng: random.Random):
    heads = rng.choice([2, 4])
    return hf.CpmAntForCausalLM, hf.CpmAntConfig(
        vocab_size=rng.choice([131, 199]), hidden_size=48, num_attention_heads=heads, dim_head=rng.choice([16, 20]), dim_ff=rng.choice([80, 112]),
        num_hidden_layers=rng.choice([2, 3]), position_bias_num_buckets=rng.choice([16, 32]), position_bias_max_distance=rng.choice([48, 128]),
        prompt_types=4, prompt_length=rng.choice([3, 8]), segment_types=rng.choice([3, 5]), eps=1e-6)


def drawn_ant(seed: int):
    torch.manual_seed(seed)
    cls, config = ant(random.Random(f"cpmant {seed}"))
    model = small_models.shaken(cls(config))
    with torch.no_grad():
        model.cpmant.position_bias.relative_attention_bias.normal_()
        for norm in (module for name, module in model.named_modules() if "layernorm" in name):
            norm.weight.copy_(1 + 0.2 * torch.randn_like(norm.weight))
    return model


def predicts_its_text(model):
    """transformers takes all of its input as given, so that all of it sees all; here only the prompt is."""
    inner, lead = model.cpmant, model.config.prompt_length
    mask = inner._prepare_attention_mask

    def with_text(input_ids, span, context, length):
        context = context.bool()
        context[:, lead:] = False
        return mask(input_ids, span, context, length)
    inner._prepare_attention_mask = with_text
    return model


class Bee(torch.nn.Module):
    """A text of one segment, by OpenBMB's description: every product divided by the root of its length, every sum by 1.05."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        width, inner, ff = config["dim_model"], config["num_heads"] * config["dim_head"], config["dim_ff"]
        def matrix(rows, columns):
            return torch.nn.Parameter(torch.randn(rows, columns))
        def vector(n):
            return torch.nn.Parameter(1 + 0.2 * torch.randn(n))
        self.table, self.norm = matrix(config["vocab_size"], width), vector(width)
        self.bias = matrix(config["position_bias_num_buckets"] + config["position_bias_num_segment_buckets"], config["num_heads"])
        self.layers = torch.nn.ModuleList()
        for no_attention, no_feeding in config.get("mask_modules") or [(False, False)] * config["num_layers"]:
            layer = torch.nn.ParameterDict()
            if not no_attention:
                layer |= {"n0": vector(width), "q": matrix(inner, width), "k": matrix(inner, width), "v": matrix(inner, width), "o": matrix(width, inner)}
            if not no_feeding:
                layer |= {"n1": vector(width), "w0": matrix(ff, width), "w1": matrix(ff, width), "w2": matrix(width, ff)}
            self.layers.append(layer)

    def normed(self, x, weight):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["eps"]) * weight

    def bucket(self, distance: int) -> int:
        half = self.config["position_bias_num_buckets"] // 2
        exact, away = half // 2, abs(distance)
        if away >= exact:
            away = min(half - 1, exact + int(math.log(away / exact) / math.log(self.config["position_bias_max_distance"] / exact) * (half - exact)))
        return away + half * (distance > 0)

    def forward(self, ids):
        config, n = self.config, len(ids)
        heads, size = config["num_heads"], config["dim_head"]
        product = lambda x, w: x @ w.T / math.sqrt(w.shape[1])
        bias = torch.stack([torch.stack([self.bias[self.bucket(k - q)] for k in range(n)]) for q in range(n)]).permute(2, 0, 1)
        bias = bias + torch.full((n, n), -math.inf).triu(1)
        x = self.table[torch.as_tensor(ids)] / math.sqrt(config["dim_model"])
        for layer in self.layers:
            if "q" in layer:
                h = self.normed(x, layer["n0"])
                q, k, v = (product(h, layer[name]).view(n, heads, size).transpose(0, 1) for name in "qkv")
                mixed = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(size) + bias, -1) @ v
                x = (x + product(mixed.transpose(0, 1).reshape(n, -1), layer["o"])) / 1.05
            if "w0" in layer:
                h = self.normed(x, layer["n1"])
                x = (x + product(torch.nn.functional.gelu(product(h, layer["w0"])) * product(h, layer["w1"]), layer["w2"])) / 1.05
        return self.normed(x, self.norm) / math.sqrt(config["dim_model"]) @ self.table.T

    NAMES = {"n0": "self_att.layernorm_before_attention.weight", "q": "self_att.self_attention.project_q.weight", "k": "self_att.self_attention.project_k.weight",
             "v": "self_att.self_attention.project_v.weight", "o": "self_att.self_attention.attention_out.weight", "n1": "ffn.layernorm_before_ffn.weight",
             "w0": "ffn.ffn.w_in.w_0.weight", "w1": "ffn.ffn.w_in.w_1.weight", "w2": "ffn.ffn.w_out.weight"}

    def tensors(self, prefix="cpmbee."):
        named = {"input_embedding.weight": self.table, "position_bias.relative_attention_bias": self.bias, "encoder.output_layernorm.weight": self.norm}
        for i, layer in enumerate(self.layers):
            named |= {f"encoder.layers.{i}.{self.NAMES[name]}": value for name, value in layer.items()}
        return {prefix + name: value for name, value in named.items()}

    def save(self, folder: pathlib.Path, prefix="cpmbee."):
        folder.mkdir()
        save_file({name: value.detach().contiguous() for name, value in self.tensors(prefix).items()}, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps({"model_type": "cpmbee", **self.config}))


def drawn_bee(seed: int, masked=False) -> Bee:
    torch.manual_seed(seed)
    rng = random.Random(f"cpmbee {seed}")
    config = dict(vocab_size=rng.choice([131, 199]), dim_model=48, dim_ff=rng.choice([80, 112]), num_layers=3, num_heads=rng.choice([2, 4]),
                  dim_head=rng.choice([16, 20]), position_bias_num_buckets=rng.choice([16, 32]), position_bias_num_segment_buckets=9,
                  position_bias_max_distance=rng.choice([50, 100]), eps=1e-6)
    if masked:
        config["mask_modules"] = [[True, False], [False, True], [False, False]]
    return Bee(config)
