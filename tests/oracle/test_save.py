"""Directories that `martlet apply` writes load in transformers, and give the logits that the program gives."""

import json
import subprocess

import numpy as np
import pytest
import torch
import transformers

from test_models import PROGRAM

IDS = [3, 17, 41, 5, 60, 2, 33]


def logits(path, folder):
    out = folder / "logits.npy"
    subprocess.run([PROGRAM, "logits", path, "--skip-rewrite", "bf16_activations", "--ids", ",".join(map(str, IDS)), "-o", out], check=True)
    return np.load(out)


def source(kind, folder):
    torch.manual_seed(7)
    if kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=97, n_embd=48, n_layer=2, n_head=4, n_positions=64)
    else:
        config = transformers.LlamaConfig(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
                                          num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                                          tie_word_embeddings=kind == "llama-tied")
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder / "source")
    return folder / "source"


@pytest.mark.parametrize("kind", ["llama", "llama-tied", "gpt2"])
@pytest.mark.parametrize("words", [
    ["cast", "to=f32"],
    ["cast", "to=bf16"],
    ["low_rank", "pattern=layers.*.feed_forward.*", "rank=9", "cast", "to=f16"],
    ["low_rank", "pattern=lm_head", "energy=0.8"],
])
def test_what_apply_writes_loads_in_transformers(kind, words, tmp_path):
    out = tmp_path / "out"
    subprocess.run([PROGRAM, "apply", source(kind, tmp_path), *words, "-o", out], check=True)
    ours = logits(out, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    with torch.no_grad():
        want = theirs(torch.tensor(IDS)[None]).logits[0].numpy()
    assert np.abs(ours - want).max() <= 5e-5 * np.abs(want).max()


def test_a_plain_copy_has_the_tensors_of_the_source(tmp_path):
    from safetensors.numpy import load_file

    path = source("gpt2", tmp_path)
    subprocess.run([PROGRAM, "apply", path, "cast", "to=f32", "-o", tmp_path / "out"], check=True)
    before, after = load_file(path / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert np.array_equal(tensor, after[name]), name
    assert json.loads((path / "config.json").read_text()) == json.loads((tmp_path / "out/config.json").read_text())
