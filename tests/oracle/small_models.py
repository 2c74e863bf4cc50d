"""Small random models of every family, with every option that changes the arithmetic switched on somewhere.

Each function draws a model from a random generator and gives the transformers model whose scores are expected.
"""
from __future__ import annotations

import json
import pathlib
import random

import torch
import transformers as hf


def sizes(rng: random.Random, **changes) -> dict:
    hidden = rng.choice([48, 64, 96])
    return dict(vocab_size=rng.choice([131, 199, 256]), hidden_size=hidden, num_hidden_layers=rng.choice([2, 3]), max_position_embeddings=256,
                intermediate_size=rng.choice([80, 112]), num_attention_heads=4, num_key_value_heads=rng.choice([1, 2, 4])) | changes


def llama(rng, **changes):
    return hf.LlamaForCausalLM, hf.LlamaConfig(**sizes(rng, rms_norm_eps=rng.choice([1e-5, 1e-6])) | changes)


def llama_tied_with_biases(rng):
    return llama(rng, head_dim=20, tie_word_embeddings=True, attention_bias=True, mlp_bias=True)


def llama_rope(kind, **parameters):
    def build(rng):
        return llama(rng, rope_parameters={"rope_type": kind, "rope_theta": rng.choice([500.0, 10000.0, 1e6]), **parameters})
    return build


def llama_longrope(**parameters):
    def build(rng):
        config = sizes(rng)
        pairs = config["hidden_size"] // 8
        factors = {name: sorted(rng.uniform(1, most) for _ in range(pairs)) for name, most in (("short_factor", 2), ("long_factor", 9))}
        return hf.LlamaForCausalLM, hf.LlamaConfig(**config, rope_parameters={
            "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 32, **factors, **parameters})
    return build


def mistral(rng):
    return hf.MistralForCausalLM, hf.MistralConfig(**sizes(rng), sliding_window=rng.choice([None, 1, 9]))


def qwen2(rng):
    return hf.Qwen2ForCausalLM, hf.Qwen2Config(**sizes(rng), tie_word_embeddings=rng.random() < 0.5)


def qwen2_window(rng):
    return hf.Qwen2ForCausalLM, hf.Qwen2Config(**sizes(rng), use_sliding_window=True, sliding_window=7, max_window_layers=1)


def qwen3(rng):
    return hf.Qwen3ForCausalLM, hf.Qwen3Config(**sizes(rng), head_dim=rng.choice([16, 32]), attention_bias=rng.random() < 0.5)


def smollm3(rng):
    config = sizes(rng)
    layers = [rng.randrange(2) for _ in range(config["num_hidden_layers"])]
    return hf.SmolLM3ForCausalLM, hf.SmolLM3Config(**config, no_rope_layers=layers, pad_token_id=0, bos_token_id=1, eos_token_id=2)


def smollm3_every_fourth_without_rotation(rng):
    return hf.SmolLM3ForCausalLM, hf.SmolLM3Config(**sizes(rng, num_hidden_layers=5), pad_token_id=0, bos_token_id=1, eos_token_id=2)


def gpt2(rng, **changes):
    return hf.GPT2LMHeadModel, hf.GPT2Config(vocab_size=rng.choice([131, 199]), n_embd=rng.choice([48, 96]), n_layer=rng.choice([2, 3]), n_head=4,
                                             n_positions=256, **changes)


def gpt2_scaled_by_layer(rng):
    return gpt2(rng, scale_attn_by_inverse_layer_idx=True, n_inner=72, activation_function=rng.choice(["gelu", "relu", "gelu_new"]))


def gpt2_unscaled(rng):
    return gpt2(rng, scale_attn_weights=False, tie_word_embeddings=False)


def gemma3(rng, **changes):
    layers = rng.choice([2, 3])
    kinds = [rng.choice(["sliding_attention", "full_attention"]) for _ in range(layers - 1)] + ["sliding_attention"]
    return hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(
        **sizes(rng, num_hidden_layers=layers), head_dim=rng.choice([16, 24]), query_pre_attn_scalar=rng.choice([16, 20]), sliding_window=9,
        layer_types=kinds, **changes)


def gemma3_two_rotations(rng):
    return gemma3(rng, rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 700.0},
                                        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}})


def gemma3_soft_caps(rng):
    return gemma3(rng, final_logit_softcapping=3.0, attn_logit_softcapping=1.5)


def gemma3_every_sixth_full(rng):
    return hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(**sizes(rng, num_hidden_layers=7), head_dim=16, query_pre_attn_scalar=16, sliding_window=9)


def gemma(rng, **changes):
    return hf.GemmaForCausalLM, hf.GemmaConfig(**sizes(rng), head_dim=rng.choice([16, 24]), **changes)


def gemma2(rng, **changes):
    return hf.Gemma2ForCausalLM, hf.Gemma2Config(**sizes(rng) | dict(head_dim=16, query_pre_attn_scalar=rng.choice([16, 20]), sliding_window=9,
                                                                     attn_logit_softcapping=1.5, final_logit_softcapping=3.0) | changes)


def gemma2_layers(rng):
    return gemma2(rng, num_hidden_layers=3, layer_types=["full_attention", "full_attention", "sliding_attention"])


def phi3(rng, **changes):
    return hf.Phi3ForCausalLM, hf.Phi3Config(**sizes(rng) | dict(sliding_window=rng.choice([None, 1, 9]), pad_token_id=0, bos_token_id=1, eos_token_id=2) | changes)


def phi3_longrope(rng, part=1.0):
    config = sizes(rng, hidden_size=96)
    pairs = round(24 * part) // 2
    factors = {name: sorted(rng.uniform(1, most) for _ in range(pairs)) for name, most in (("short_factor", 2), ("long_factor", 9))}
    return phi3(rng, **config, sliding_window=None, original_max_position_embeddings=32, rope_parameters={
        "rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": part, **factors})


def mixtral(rng, **changes):
    return hf.MixtralForCausalLM, hf.MixtralConfig(**sizes(rng) | dict(num_local_experts=rng.choice([2, 5, 8]), num_experts_per_tok=2) | changes)


def qwen2_moe(rng, **changes):
    return hf.Qwen2MoeForCausalLM, hf.Qwen2MoeConfig(**sizes(rng) | dict(
        num_experts=rng.choice([4, 7]), num_experts_per_tok=rng.choice([1, 3]), moe_intermediate_size=48, shared_expert_intermediate_size=rng.choice([32, 80])) | changes)


def qwen2_moe_mixed(rng):
    return qwen2_moe(rng, num_hidden_layers=5, norm_topk_prob=True, mlp_only_layers=[3], decoder_sparse_step=2, qkv_bias=False,
                     use_sliding_window=True, sliding_window=7, max_window_layers=3)


def qwen3_moe(rng, **changes):
    return hf.Qwen3MoeForCausalLM, hf.Qwen3MoeConfig(**sizes(rng) | dict(
        num_experts=rng.choice([4, 9]), num_experts_per_tok=rng.choice([2, 4]), moe_intermediate_size=48, norm_topk_prob=True, head_dim=rng.choice([16, 32])) | changes)


def qwen3_moe_mixed(rng):
    return qwen3_moe(rng, num_hidden_layers=4, norm_topk_prob=False, mlp_only_layers=[0], attention_bias=True, use_sliding_window=True, sliding_window=7)


FAMILIES = {
    "llama": llama,
    "llama-tied-biases": llama_tied_with_biases,
    "llama-linear": llama_rope("linear", factor=4.0),
    "llama-dynamic": llama_rope("dynamic", factor=4.0),
    "llama-yarn": llama_rope("yarn", factor=4.0, original_max_position_embeddings=64),
    "llama-yarn-mscale": llama_rope("yarn", factor=8.0, original_max_position_embeddings=32, mscale=0.8, mscale_all_dim=0.5, beta_fast=16.0,
                                    beta_slow=2.0, truncate=False),
    "llama-yarn-attention": llama_rope("yarn", factor=4.0, original_max_position_embeddings=64, attention_factor=1.3),
    "llama-llama3": llama_rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64),
    "llama-longrope": llama_longrope(factor=8.0),
    "llama-longrope-attention": llama_longrope(factor=8.0, attention_factor=1.2),
    "mistral": mistral,
    "qwen2": qwen2,
    "qwen2-window": qwen2_window,
    "qwen3": qwen3,
    "smollm3": smollm3,
    "smollm3-interval": smollm3_every_fourth_without_rotation,
    "gpt2": gpt2,
    "gpt2-scaled-by-layer": gpt2_scaled_by_layer,
    "gpt2-unscaled": gpt2_unscaled,
    "phi3": phi3,
    "phi3-longrope": phi3_longrope,
    "phi3-longrope-part": lambda rng: phi3_longrope(rng, 0.75),
    "mixtral": mixtral,
    "mixtral-window": lambda rng: mixtral(rng, sliding_window=9),
    "qwen2-moe": qwen2_moe,
    "qwen2-moe-mixed": qwen2_moe_mixed,
    "qwen3-moe": qwen3_moe,
    "qwen3-moe-mixed": qwen3_moe_mixed,
    "gemma": gemma,
    "gemma-biases": lambda rng: gemma(rng, attention_bias=True),
    "gemma2": gemma2,
    "gemma2-layers": gemma2_layers,
    "gemma3": gemma3,
    "gemma3-biases": lambda rng: gemma3(rng, attention_bias=True),
    "gemma3-two-rotations": gemma3_two_rotations,
    "gemma3-soft-caps": gemma3_soft_caps,
    "gemma3-every-sixth": gemma3_every_sixth_full,
}


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Biases and norms begin at 0 and 1, which would hide mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.05))
    return model.eval()


def drawn(family: str, seed: int) -> hf.PreTrainedModel:
    torch.manual_seed(seed)
    cls, config = FAMILIES[family](random.Random(f"{family} {seed}"))
    # Eager attention is the only one that knows soft caps.
    config._attn_implementation = "eager"
    model = shaken(cls(config))
    if (cap := getattr(config, "attn_logit_softcapping", None)) and config.model_type.startswith("gemma3"):
        # transformers reads the key, and forgets to hand it to its attention.
        for layer in model.model.layers:
            layer.self_attn.register_forward_pre_hook(lambda module, args, named: (args, named | {"softcap": cap}), with_kwargs=True)
    return model


def edit_config(folder: pathlib.Path, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
