"""Gradients of small random models of every family against PyTorch through transformers."""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

import cpm_models

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = os.environ.get("MARTLET_GRADIENTS", str(ROOT / "build/release/tests/gradients_driver"))
SIZES = dict(vocab_size=199, hidden_size=48, num_hidden_layers=3, max_position_embeddings=256, intermediate_size=80, num_attention_heads=4,
             num_key_value_heads=2)


def llama(tied=False):
    return transformers.LlamaForCausalLM, transformers.LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=tied)


def llama_tied():
    return llama(True)


def mistral():
    return transformers.MistralForCausalLM, transformers.MistralConfig(**SIZES, sliding_window=7)


def qwen2():
    return transformers.Qwen2ForCausalLM, transformers.Qwen2Config(**SIZES)


def qwen3():
    return transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**SIZES, head_dim=16)


def smollm3():
    return transformers.SmolLM3ForCausalLM, transformers.SmolLM3Config(**SIZES, no_rope_layers=[1, 0, 1], pad_token_id=0, bos_token_id=1,
                                                                      eos_token_id=2)


def phi3():
    return transformers.Phi3ForCausalLM, transformers.Phi3Config(**SIZES, pad_token_id=0, bos_token_id=1, eos_token_id=2)


def mixtral():
    return transformers.MixtralForCausalLM, transformers.MixtralConfig(**SIZES, num_local_experts=5, num_experts_per_tok=2)


def qwen2_moe():
    return transformers.Qwen2MoeForCausalLM, transformers.Qwen2MoeConfig(**SIZES, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=40,
                                                                        shared_expert_intermediate_size=56, mlp_only_layers=[1])


def qwen3_moe():
    return transformers.Qwen3MoeForCausalLM, transformers.Qwen3MoeConfig(**SIZES, head_dim=16, num_experts=6, num_experts_per_tok=3,
                                                                        moe_intermediate_size=40, norm_topk_prob=True)


def gemma3():
    return transformers.Gemma3ForCausalLM, transformers.Gemma3TextConfig(**SIZES, head_dim=16, query_pre_attn_scalar=20, sliding_window=9,
                                                                        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                                                        final_logit_softcapping=3.0)


def gpt2():
    return transformers.GPT2LMHeadModel, transformers.GPT2Config(vocab_size=199, n_embd=48, n_layer=2, n_head=4, n_positions=256,
                                                                resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)


def of_experts(name: str, got: dict, parameter):
    """What transformers keeps in one parameter for all experts, from the names of files."""
    import re
    layer, part = re.fullmatch(r"model\.layers\.(\d+)\.mlp\.experts\.(gate_up_proj|down_proj)", name).groups()
    names = [["gate_proj", "up_proj"], ["w1", "w3"]] if part == "gate_up_proj" else [["down_proj"], ["w2"]]
    prefix, parts = next((prefix, parts) for parts in names for prefix in (f"model.layers.{layer}.mlp", f"model.layers.{layer}.block_sparse_moe")
                         if f"{prefix}.experts.0.{parts[0]}.weight" in got)
    return np.stack([np.concatenate([got[f"{prefix}.experts.{expert}.{each}.weight"] for each in parts]) for expert in range(parameter.shape[0])])


@pytest.mark.parametrize("family", [llama, llama_tied, mistral, qwen2, qwen3, smollm3, phi3, mixtral, qwen2_moe, qwen3_moe, gemma3, gpt2])
@pytest.mark.parametrize("seed", [1, 2])
def test_gradients_agree_with_transformers(family, seed, tmp_path):
    torch.manual_seed(seed)
    cls, config = family()
    config._attn_implementation = "eager"
    model = cls(config).eval()
    with torch.no_grad():  # biases and norms begin at 0 and 1, which would hide mistakes
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.05))
    model.save_pretrained(tmp_path / "model")
    random = np.random.default_rng(seed)
    sequences = [random.integers(0, 199, length).tolist() for length in (30, 2, 101)]
    count = sum(len(ids) - 1 for ids in sequences)
    total = 0
    for ids in sequences:
        logits = model(torch.tensor(ids[:-1])[None]).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum") / count
        loss.backward()
        total += loss.item()
    (tmp_path / "case.json").write_text(json.dumps({"sequences": sequences}))
    out = subprocess.run([DRIVER, tmp_path / "model", tmp_path / "case.json", tmp_path / "out"], check=True, capture_output=True, text=True)
    assert float(out.stdout) == pytest.approx(total, rel=1e-5)
    got = {}
    for file in (tmp_path / "out").glob("*.safetensors"):
        got.update(safetensors.numpy.load_file(file))
    compared = 0
    for name, parameter in model.named_parameters():
        stored = of_experts(name, got, parameter) if ".experts." in name else got.get(name)
        if stored is None and name.endswith("mlp.gate.weight"):
            stored = got.get(name.replace("mlp", "block_sparse_moe"))
        if stored is None:
            stored = got.get("model." + name, got.get(name.removeprefix("transformer.")))
        assert stored is not None, f"{name} is not among {sorted(got)[:5]}"
        expected = parameter.grad.numpy()
        assert stored.shape == expected.shape
        assert np.abs(stored - expected).max() <= 1e-4 * np.abs(expected).max() + 1e-9, name
        compared += 1
    assert compared > 10


@pytest.mark.parametrize("seed", [1, 2])
def test_gradients_of_bert_agree_with_transformers(seed, tmp_path):
    torch.manual_seed(seed)
    config = transformers.BertConfig(vocab_size=199, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=80,
                                     max_position_embeddings=128, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    config._attn_implementation = "eager"
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.05))
    model.save_pretrained(tmp_path / "model")
    random = np.random.default_rng(seed)
    sequences = [random.integers(0, 199, length).tolist() for length in (30, 1, 101)]
    factors = [random.standard_normal((len(ids), 48)).astype(np.float32) for ids in sequences]
    total = 0
    for ids, factor in zip(sequences, factors):
        value = (model(torch.tensor(ids)[None]).last_hidden_state[0] * torch.from_numpy(factor)).sum()
        value.backward()
        total += value.item()
    (tmp_path / "case.json").write_text(json.dumps({"sequences": sequences, "hidden_gradient": np.concatenate(factors).ravel().tolist()}))
    out = subprocess.run([DRIVER, tmp_path / "model", tmp_path / "case.json", tmp_path / "out"], check=True, capture_output=True, text=True)
    assert float(out.stdout) == pytest.approx(total, rel=1e-5, abs=1e-2)
    got = {}
    for file in (tmp_path / "out").glob("*.safetensors"):
        got.update(safetensors.numpy.load_file(file))
    compared = 0
    for name, parameter in model.named_parameters():
        expected = parameter.grad.numpy()
        stored = got["bert." + name]
        assert stored.shape == expected.shape
        # The bias of keys moves all scores of a query alike: its gradient is nothing but rounding.
        floor = 1e-3 if name.endswith("key.bias") else 1e-9
        assert np.abs(stored - expected).max() <= 1e-4 * np.abs(expected).max() + floor, name
        compared += 1
    assert compared == 4 + 1 + 3 * 16


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("family", ["cpmant", "cpmbee"])
def test_gradients_of_cpm_agree_with_its_definitions(family, seed, tmp_path):
    if family == "cpmant":
        model = cpm_models.drawn_ant(seed)
        model.save_pretrained(tmp_path / "model")
        cpm_models.predicts_its_text(model)
        scores, vocabulary = lambda ids: model(torch.tensor(ids)[None], use_cache=False).logits[0], model.config.vocab_size
    else:
        scores = model = cpm_models.drawn_bee(seed)
        model.save(tmp_path / "model")
        vocabulary = model.config["vocab_size"]
    model.double()  # scores of random biases make rounding large
    random = np.random.default_rng(seed)
    sequences = [random.integers(1, vocabulary, length).tolist() for length in (30, 2, 61)]
    count = sum(len(ids) - 1 for ids in sequences)
    total = 0
    for ids in sequences:
        loss = torch.nn.functional.cross_entropy(scores(ids[:-1]), torch.tensor(ids[1:]), reduction="sum") / count
        loss.backward()
        total += loss.item()
    (tmp_path / "case.json").write_text(json.dumps({"sequences": sequences}))
    out = subprocess.run([DRIVER, tmp_path / "model", tmp_path / "case.json", tmp_path / "out"], check=True, capture_output=True, text=True)
    assert float(out.stdout) == pytest.approx(total, rel=1e-5)
    got = {}
    for file in (tmp_path / "out").glob("*.safetensors"):
        got.update(safetensors.numpy.load_file(file))
    expected = dict(model.named_parameters()) if family == "cpmant" else model.tensors()
    assert got.keys() == expected.keys()
    for name, parameter in expected.items():
        gradient = parameter.grad.numpy()
        assert np.abs(got[name] - gradient).max() <= 1e-4 * np.abs(gradient).max() + 1e-9, name
