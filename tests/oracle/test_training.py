"""Training by `martlet train` against PyTorch: what it leaves loads in transformers, and a packed GGUF file learns as its weights say."""
import json
import os
import pathlib
import subprocess

import gguf_models
import numpy as np
import pytest
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MARTLET", str(ROOT / "build/release/martlet"))
SIZES = dict(vocab_size=199, hidden_size=64, num_hidden_layers=2, max_position_embeddings=128, intermediate_size=96, num_attention_heads=4,
             num_key_value_heads=2)
BATCH, SEQ, STEPS = 4, 24, 6


def llama():
    return transformers.LlamaForCausalLM, transformers.LlamaConfig(**SIZES)


def qwen3_tied():
    return transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**SIZES, head_dim=16, tie_word_embeddings=True)


def mixtral():
    return transformers.MixtralForCausalLM, transformers.MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2)


def balanced_mixtral():
    """So many experts that some are chosen by no token of a step."""
    return transformers.MixtralForCausalLM, transformers.MixtralConfig(**SIZES, num_local_experts=24, num_experts_per_tok=1, output_router_logits=True,
                                                                      router_aux_loss_coef=0.3)


def balanced_qwen2_moe():
    return transformers.Qwen2MoeForCausalLM, transformers.Qwen2MoeConfig(**SIZES | dict(num_hidden_layers=4), num_experts=30, num_experts_per_tok=2,
                                                                        moe_intermediate_size=32, shared_expert_intermediate_size=48,
                                                                        mlp_only_layers=[1], output_router_logits=True, router_aux_loss_coef=0.2)


def balanced_qwen3_moe():
    return transformers.Qwen3MoeForCausalLM, transformers.Qwen3MoeConfig(**SIZES, head_dim=16, num_experts=40, num_experts_per_tok=2,
                                                                        moe_intermediate_size=32, norm_topk_prob=True, output_router_logits=True,
                                                                        router_aux_loss_coef=0.1)


def gemma3():
    return transformers.Gemma3ForCausalLM, transformers.Gemma3TextConfig(**SIZES, head_dim=16, query_pre_attn_scalar=16, sliding_window=9,
                                                                        layer_types=["sliding_attention", "full_attention"])


def gemma3_of_a_file():
    """A GGUF file does not say which layers see everything: every sixth does, none of two."""
    cls, config = gemma3()
    config.layer_types = ["sliding_attention"] * 2
    return cls, config


def gpt2():
    return transformers.GPT2LMHeadModel, transformers.GPT2Config(vocab_size=199, n_embd=64, n_layer=2, n_head=4, n_positions=128, resid_pdrop=0,
                                                                embd_pdrop=0, attn_pdrop=0)


def martlet(*words):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def drawn(family, seed):
    torch.manual_seed(seed)
    cls, config = family()
    config._attn_implementation = "eager"
    model = cls(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.05))
    return model


def rows_of_ids(path, seed):
    rows = np.random.default_rng(seed).integers(0, 199, (STEPS * BATCH, SEQ + 1))
    path.write_text("".join(json.dumps({"ids": row.tolist()}) + "\n" for row in rows))
    return torch.from_numpy(rows)


def train(folder, init, data, *words):
    martlet("train", "--init", init, "--data", data, "--order", "sequential", "--pack", "none", "--seq", SEQ, "--batch", BATCH, "--steps", STEPS,
            "--learning-rate", 1e-3, "--schedule", "constant", "--weight-decay", 0.1, "--beta2", 0.95, "--clip", 1, "--out", folder / "out",
            "--metrics", folder / "metrics.jsonl", *words)
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def loss_of(model, rows):
    out = model(rows[:, :-1])
    loss = torch.nn.functional.cross_entropy(out.logits.reshape(-1, out.logits.shape[-1]), rows[:, 1:].reshape(-1))
    if getattr(model.config, "output_router_logits", False) and model.training:
        loss = loss + model.config.router_aux_loss_coef * out.aux_loss
    return loss


def torch_losses(model, rows):
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}], lr=1e-3, betas=(0.9, 0.95),
                                  eps=1e-8)
    losses = []
    for step in range(STEPS):
        loss = loss_of(model, rows[step * BATCH:(step + 1) * BATCH])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("rewrite", ["", "recompute", "freeze pattern=layers.0"])
@pytest.mark.parametrize("family", [llama, qwen3_tied, mixtral, gemma3, gpt2])
def test_a_trained_directory_loads_in_transformers_and_gives_the_same_loss(family, rewrite, tmp_path):
    drawn(family, 3).save_pretrained(tmp_path / "m")
    rows = rows_of_ids(tmp_path / "data.jsonl", 3)
    train(tmp_path, tmp_path / "m", tmp_path / "data.jsonl", *(["--rewrite", rewrite] if rewrite else []))
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        expected = loss_of(theirs.eval(), rows).item()
    ours = json.loads(martlet("eval", "loss", tmp_path / "out", tmp_path / "data.jsonl", "--json"))
    assert ours["loss"] == pytest.approx(expected, rel=1e-6)
    # It did learn something: the model that it began with fits these rows worse.
    with torch.no_grad():
        assert expected < loss_of(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval(), rows).item()


@pytest.mark.parametrize("rewrite", ["", "recompute"])
@pytest.mark.parametrize("family", [balanced_mixtral, balanced_qwen2_moe, balanced_qwen3_moe])
def test_experts_are_balanced_and_those_without_a_token_move_as_in_torch(family, rewrite, tmp_path):
    model = drawn(family, 5).train()
    model.save_pretrained(tmp_path / "m")
    rows = rows_of_ids(tmp_path / "data.jsonl", 5)
    ours = train(tmp_path, tmp_path / "m", tmp_path / "data.jsonl", *(["--rewrite", rewrite] if rewrite else []))
    untouched = []
    for name, parameter in model.named_parameters():
        if name.endswith("experts.down_proj"):
            parameter.register_hook(lambda gradient: untouched.append(int((gradient.abs().amax((1, 2)) == 0).sum())))
    assert ours == pytest.approx(torch_losses(model, rows), rel=1e-4)
    assert sum(untouched) > 5, "some experts were chosen by no token"
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    for (name, expected), got in zip(model.named_parameters(), theirs.parameters(), strict=True):
        # AdamW's first steps are as long for small gradients as for large ones, so that rounding shows.
        assert torch.mean((got - expected).abs()) <= 2e-5, name
        assert torch.max((got - expected).abs()) <= 2e-3, name


@pytest.mark.parametrize("family,kind", [(llama, "Q8_0"), (llama, "Q4_1"), (qwen3_tied, "Q8_0"), (mixtral, "Q8_0"), (gpt2, "F16")])
def test_a_gguf_file_is_unpacked_and_learns_as_torch_does(family, kind, tmp_path):
    model = drawn(family, 4)
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(4), kind)
    rows = rows_of_ids(tmp_path / "data.jsonl", 4)
    ours = train(tmp_path, tmp_path / "m.gguf", tmp_path / "data.jsonl")
    assert ours == pytest.approx(torch_losses(model, rows), rel=1e-4)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["hidden_size" if family is not gpt2 else "n_embd"] == 64


def test_a_gemma3_file_begins_with_torchs_loss(tmp_path):
    model = drawn(gemma3_of_a_file, 4)
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(4), "Q8_0")
    rows = rows_of_ids(tmp_path / "data.jsonl", 4)
    assert train(tmp_path, tmp_path / "m.gguf", tmp_path / "data.jsonl")[0] == pytest.approx(torch_losses(model, rows)[0], rel=1e-5)


def test_a_model_from_nothing_is_a_hugging_face_directory_with_its_tokenizer(tmp_path):
    text = "The swallow that never lands. " * 40 + "A martlet has no feet, and flies into every home.\n" * 40
    (tmp_path / "text.txt").write_text(text)
    martlet("tokenizer", "train", "--data", tmp_path / "text.txt", "--vocab", 300, "-o", tmp_path / "tokenizer")
    martlet("train", "--model", "hidden=32,layers=2,heads=2,tied=true", "--tokenizer", tmp_path / "tokenizer", "--data", tmp_path / "text.txt",
            "--seq", 16, "--batch", 2, "--steps", 4, "--out", tmp_path / "out")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer("A martlet lands.", return_tensors="pt")["input_ids"]
    (tmp_path / "eval.jsonl").write_text(json.dumps({"ids": ids[0].tolist()}) + "\n")
    with torch.no_grad():
        expected = loss_of(theirs, ids).item()
    ours = json.loads(martlet("eval", "loss", tmp_path / "out", tmp_path / "eval.jsonl", "--json"))
    assert ours["loss"] == pytest.approx(expected, rel=1e-6)
