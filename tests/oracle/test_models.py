"""Scores of small random models of every family against transformers: from directories and from GGUF files."""
from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess

import numpy as np
import pytest
import torch
import transformers as hf

import cpm_models
import gguf_models
import small_models

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MARTLET", str(ROOT / "build/release/martlet"))
DRIVER = os.environ.get("MARTLET_MODELS_DRIVER", str(ROOT / "build/release/tests/models_driver"))
# Beyond every window, rotary boundary and tile of small_models.
LENGTHS = (1, 8, 33, 100)
BOUND = 2e-5


def expect_close(got: np.ndarray, expected: np.ndarray, where: str):
    assert got.shape == expected.shape and got.dtype == np.float32, where
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert error <= BOUND, f"{where}: error {error:.2e} of the largest"


def scores(path: pathlib.Path, ids: np.ndarray) -> np.ndarray:
    """Of the weights alone: activations are not rounded for packed ones or those of bf16."""
    out = path.parent / "scores.npy"
    subprocess.run([PROGRAM, "logits", path, "--skip-rewrite", "int8_activations", "--skip-rewrite", "bf16_activations", "--ids", ",".join(map(str, ids)), "-o", out], check=True)
    return np.load(out)


def expect_scores(path: pathlib.Path, model, seed: int, lengths=LENGTHS):
    rng = np.random.default_rng(seed)
    for length in lengths:
        ids = rng.integers(0, model.config.vocab_size, length)
        with torch.no_grad():
            expected = model(torch.tensor(ids)[None]).logits[0].numpy()
        expect_close(scores(path, ids), expected, f"{length} tokens")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_a_directory_gives_the_scores_of_transformers(family, seed, tmp_path):
    model = small_models.drawn(family, seed)
    model.save_pretrained(tmp_path / "model")
    expect_scores(tmp_path / "model", model, seed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama-tied-biases", "qwen3", "gpt2", "gemma3"])
def test_half_precision_weights_are_exact(family, dtype, tmp_path):
    model = small_models.drawn(family, 3)
    with torch.no_grad():  # parameters alone: the buffers of the rotation stay as they are
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype))
    model.save_pretrained(tmp_path / "model", state_dict={name: tensor.to(dtype) for name, tensor in model.state_dict().items()})
    expect_scores(tmp_path / "model", model, 3)


def test_rounding_activations_to_bf16_stays_near_the_exact_scores(tmp_path):
    model = small_models.drawn("llama", 6).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "model")
    ids = np.arange(40) % model.config.vocab_size
    exact = scores(tmp_path / "model", ids)
    subprocess.run([PROGRAM, "logits", tmp_path / "model", "--rewrite", "bf16_activations", "--ids", ",".join(map(str, ids)), "-o", tmp_path / "rounded.npy"], check=True)
    rounded = np.load(tmp_path / "rounded.npy")
    assert 0 < np.abs(rounded - exact).max() <= 2e-2 * np.abs(exact).max()


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_shards_are_one_model(family, tmp_path):
    model = small_models.drawn(family, 4)
    model.save_pretrained(tmp_path / "model", max_shard_size="60KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 2
    expect_scores(tmp_path / "model", model, 4)


def test_gpt2_without_its_prefix(tmp_path):
    model = small_models.drawn("gpt2", 5)
    model.transformer.save_pretrained(tmp_path / "model")
    expect_scores(tmp_path / "model", model, 5)


def test_gemma3_within_a_model_of_several_senses(tmp_path):
    """The text part of a config with `text_config`, under the prefix that such models write."""
    model = small_models.drawn("gemma3-two-rotations", 6)
    model.save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": config}))
    from safetensors.torch import load_file, save_file
    tensors = load_file(tmp_path / "model/model.safetensors")
    for prefix in ("language_model.model.", "model.language_model."):
        save_file({name.replace("model.", prefix, 1): tensor for name, tensor in tensors.items()}, tmp_path / "model/model.safetensors")
        expect_scores(tmp_path / "model", model, 6)


def drawn_minicpm(seed: int, tied: bool):
    """MiniCPM is LLaMA with three scales (Hu et al., 2024): of the embeddings, of what every sublayer adds, of the last hidden states.
    Gives the LLaMA model to store, the keys of its config, and the LLaMA model whose weights have the scales in them."""
    rng = random.Random(f"minicpm {seed}")
    torch.manual_seed(seed)
    cls, config = small_models.llama(rng, tie_word_embeddings=False)
    model = small_models.shaken(cls(config))
    keys = dict(model_type="minicpm", architectures=["MiniCPMForCausalLM"], scale_emb=rng.choice([1, 12]), scale_depth=rng.choice([1.0, 1.4]),
                dim_model_base=rng.choice([16, 256]), tie_word_embeddings=tied)
    return model, keys


def with_scales(model, keys):
    scaled = hf.LlamaForCausalLM(model.config).eval()
    scaled.load_state_dict(model.state_dict())
    config = model.config
    with torch.no_grad():
        if keys["tie_word_embeddings"]:
            scaled.lm_head.weight.copy_(scaled.model.embed_tokens.weight)
        scaled.model.embed_tokens.weight.mul_(keys["scale_emb"])
        for layer in scaled.model.layers:
            for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
                linear.weight.mul_(keys["scale_depth"] / config.num_hidden_layers**0.5)
        scaled.lm_head.weight.mul_(keys["dim_model_base"] / config.hidden_size)
    return scaled


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_minicpm_is_llama_with_three_scales(seed, tied, tmp_path):
    model, keys = drawn_minicpm(seed, tied)
    stored = {name: tensor for name, tensor in model.state_dict().items() if not (tied and name == "lm_head.weight")}
    model.save_pretrained(tmp_path / "model", state_dict=stored)
    small_models.edit_config(tmp_path / "model", **keys)
    expect_scores(tmp_path / "model", with_scales(model, keys), seed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cpmant_predicting_its_text(seed, tmp_path):
    model = cpm_models.drawn_ant(seed)
    model.save_pretrained(tmp_path / "model")
    cpm_models.predicts_its_text(model)
    rng = np.random.default_rng(seed)
    for length in LENGTHS:
        ids = rng.integers(1, model.config.vocab_size, length)  # 0 fills up there
        with torch.no_grad():
            expected = model(torch.tensor(ids)[None], use_cache=False).logits[0].numpy()
        expect_close(scores(tmp_path / "model", ids), expected, f"{length} tokens")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cpmbee_of_one_segment(seed, masked, tmp_path):
    model = cpm_models.drawn_bee(seed, masked)
    model.save(tmp_path / "model", "" if masked else "cpmbee.")
    rng = np.random.default_rng(seed)
    for length in LENGTHS:
        ids = rng.integers(0, model.config["vocab_size"], length)
        with torch.no_grad():
            expected = model(ids).numpy()
        expect_close(scores(tmp_path / "model", ids), expected, f"{length} tokens")


def drawn_bert(seed: int, activations=("gelu", "relu")):
    torch.manual_seed(seed)
    rng = random.Random(seed)
    config = hf.BertConfig(vocab_size=151, hidden_size=rng.choice([48, 96]), num_hidden_layers=2, num_attention_heads=4, intermediate_size=112,
                           max_position_embeddings=128, hidden_act=rng.choice(activations))
    return small_models.shaken(hf.BertModel(config))


def drive(verb: str, path: pathlib.Path, sequences: list[np.ndarray]) -> np.ndarray:
    out = path.parent / "hidden.npy"
    subprocess.run([DRIVER, verb, path, ";".join(",".join(map(str, ids)) for ids in sequences), out], check=True)
    return np.load(out)


def expect_bert(path: pathlib.Path, model, seed: int):
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(0, 151, length) for length in (1, 8, 33, 100)]
    with torch.no_grad():
        hidden = [model(torch.tensor(ids)[None]).last_hidden_state[0].numpy() for ids in sequences]
    for ids, expected in zip(sequences, hidden):
        expect_close(drive("hidden", path, [ids]), expected, f"{len(ids)} tokens")
    expect_close(drive("mean", path, sequences), np.stack([states.mean(0) for states in hidden]), "mean")
    expect_close(drive("first", path, sequences), np.stack([states[0] for states in hidden]), "first")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bert_gives_the_hidden_states_of_transformers(seed, tmp_path):
    model = drawn_bert(seed)
    model.save_pretrained(tmp_path / "model")
    expect_bert(tmp_path / "model", model, seed)


def test_bert_below_a_head_for_another_task(tmp_path):
    bert = drawn_bert(4)
    model = hf.BertForMaskedLM(bert.config)
    model.bert.load_state_dict(bert.state_dict(), strict=False)
    model.save_pretrained(tmp_path / "model")
    expect_bert(tmp_path / "model", bert, 4)


GGUF_FAMILIES = ["llama", "llama-tied-biases", "llama-linear", "llama-yarn", "llama-llama3", "llama-longrope-attention", "qwen2", "qwen3",
                 "smollm3-interval", "gpt2", "phi3", "phi3-longrope", "phi3-longrope-part",
                 "mixtral", "qwen2-moe", "qwen3-moe", "gemma3-every-sixth"]


@pytest.mark.parametrize("kind", ["F32", "F16"])
@pytest.mark.parametrize("family", GGUF_FAMILIES)
def test_a_gguf_file_gives_the_scores_of_transformers(family, kind, tmp_path):
    for seed in (1, 2):
        model = small_models.drawn(family, seed)
        gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(seed), kind)
        expect_scores(tmp_path / "m.gguf", model, seed)


# Rows that whole blocks of 256 fill.
WIDE = {
    "qwen2-moe": lambda: small_models.qwen2_moe(random.Random(9), hidden_size=256, moe_intermediate_size=256, shared_expert_intermediate_size=512),
    "llama": lambda: small_models.llama(random.Random(7), hidden_size=256, intermediate_size=256),
    "gpt2": lambda: (hf.GPT2LMHeadModel, hf.GPT2Config(vocab_size=131, n_embd=256, n_layer=2, n_head=4, n_positions=128)),
    "gemma3": lambda: (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(
        **small_models.sizes(random.Random(8), hidden_size=256, intermediate_size=512, num_hidden_layers=2), head_dim=64, query_pre_attn_scalar=64, sliding_window=9,
        layer_types=["sliding_attention"] * 2)),
}


@pytest.mark.parametrize("family", WIDE)
@pytest.mark.parametrize("kind", ["BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"])
def test_a_packed_gguf_file_gives_the_scores_of_its_unpacked_weights(kind, family, tmp_path):
    torch.manual_seed(11)
    cls, config = WIDE[family]()
    model = small_models.shaken(cls(config))
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(11), kind)
    expect_scores(tmp_path / "m.gguf", model, 11, (1, 33))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_gguf_file_of_minicpm(seed, tmp_path):
    model, keys = drawn_minicpm(seed, False)
    config = model.config

    def scales(writer):
        writer.add_embedding_scale(keys["scale_emb"])
        writer.add_residual_scale(keys["scale_depth"] / config.num_hidden_layers**0.5)
        writer.add_logit_scale(config.hidden_size / keys["dim_model_base"])
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(seed), family="minicpm", metadata=scales)
    expect_scores(tmp_path / "m.gguf", with_scales(model, keys), seed)


def test_a_gguf_file_of_gemma3_27b_scales_by_its_width(tmp_path):
    """That size alone, known by its 62 layers, divides the width by the heads where others take a head's own size."""
    torch.manual_seed(12)
    config = hf.Gemma3TextConfig(vocab_size=131, hidden_size=32, intermediate_size=32, num_hidden_layers=62, num_attention_heads=4,
                                 num_key_value_heads=2, head_dim=12, query_pre_attn_scalar=8, sliding_window=9, max_position_embeddings=256)
    model = small_models.shaken(hf.Gemma3ForCausalLM(config))
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(12))
    expect_scores(tmp_path / "m.gguf", model, 12, (1, 33))


def test_a_gguf_file_of_bert(tmp_path):
    model = drawn_bert(5, ["gelu"])  # no key of the file names another
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(5))
    expect_bert(tmp_path / "m.gguf", model, 5)


# What their loader does not read from the file has its defaults: the sizes of a head, of GPT-2's tables.
READ_BY_OTHERS = {
    "llama": lambda rng: small_models.llama(rng),
    "qwen2": lambda rng: small_models.qwen2(rng),
    "qwen2-moe": lambda rng: small_models.qwen2_moe(rng, moe_intermediate_size=1408, shared_expert_intermediate_size=5632),
    "qwen3": lambda rng: (hf.Qwen3ForCausalLM, hf.Qwen3Config(**small_models.sizes(rng), head_dim=128)),
    "gpt2": lambda rng: (hf.GPT2LMHeadModel, hf.GPT2Config(n_embd=32, n_layer=2, n_head=4)),
    "gemma3": lambda rng: (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(**small_models.sizes(rng, num_hidden_layers=7), head_dim=256,
                                                                     query_pre_attn_scalar=256, sliding_window=9)),
}


@pytest.mark.parametrize("family", READ_BY_OTHERS)
def test_transformers_reads_the_gguf_files_of_these_tests_alike(family, tmp_path):
    """The conventions of gguf_models.py, read by somebody else."""
    torch.manual_seed(9)
    cls, config = READ_BY_OTHERS[family](random.Random(9))
    model = small_models.shaken(cls(config))
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(9), "F16")
    theirs = hf.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32).eval()
    expect_scores(tmp_path / "m.gguf", theirs, 9)
