"""Logits of small random models of every family against transformers."""
import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MARTLET", str(ROOT / "build/release/martlet"))

SIZES = dict(vocab_size=199, hidden_size=48, num_hidden_layers=3, max_position_embeddings=256, intermediate_size=80, num_attention_heads=4,
             num_key_value_heads=2)
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32,
            "short_factor": [1.0, 1.1, 1.3, 1.7, 2.0, 2.5], "long_factor": [1.0, 1.5, 2.2, 3.1, 4.0, 5.5]}


def gemma3():
    return transformers.Gemma3ForCausalLM, transformers.Gemma3TextConfig(**SIZES, head_dim=16, query_pre_attn_scalar=20, sliding_window=9,
                                                                        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                                                        final_logit_softcapping=3.0)


def smollm3():
    return transformers.SmolLM3ForCausalLM, transformers.SmolLM3Config(**SIZES, no_rope_layers=[1, 0, 1], pad_token_id=0, bos_token_id=1,
                                                                      eos_token_id=2)


def qwen2_window():
    return transformers.Qwen2ForCausalLM, transformers.Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=7, max_window_layers=1)


def llama_longrope():
    return transformers.LlamaForCausalLM, transformers.LlamaConfig(**SIZES, rope_parameters=LONGROPE)


def gpt2():
    return transformers.GPT2LMHeadModel, transformers.GPT2Config(vocab_size=199, n_embd=48, n_layer=2, n_head=4, n_positions=256,
                                                                scale_attn_by_inverse_layer_idx=True)


@pytest.mark.parametrize("family", [gemma3, smollm3, qwen2_window, llama_longrope, gpt2])
@pytest.mark.parametrize("seed", [1, 2])
def test_logits_agree_with_transformers(family, seed, tmp_path):
    torch.manual_seed(seed)
    cls, config = family()
    model = cls(config).eval()
    with torch.no_grad():  # biases and norms begin at 0 and 1, which would hide mistakes
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.05))
    model.save_pretrained(tmp_path / "model")
    random = np.random.default_rng(seed)
    for length in (1, 8, 30, 100):
        ids = random.integers(0, 199, length)
        with torch.no_grad():
            expected = model(torch.tensor(ids)[None]).logits[0].numpy()
        subprocess.run([PROGRAM, "logits", tmp_path / "model", "--ids", ",".join(map(str, ids)), "-o", tmp_path / "o.npy"], check=True)
        got = np.load(tmp_path / "o.npy")
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= 2e-5 * np.abs(expected).max(), f"length {length}"
