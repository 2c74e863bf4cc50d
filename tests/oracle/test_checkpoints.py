"""Directories that GPTQ, AWQ, compressed-tensors and bitsandbytes quantised, against transformers with the matrices that they mean."""
from __future__ import annotations

import importlib.util
import json
import random
import subprocess

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

import checkpoints
import gguf
import small_models
from checkpoints import awq, bitsandbytes, compressed, gptq
from test_models import PROGRAM, expect_close, expect_scores, scores

KINDS = {
    "gptq": (gptq, {}),
    "gptq-asymmetric": (gptq, dict(symmetric=False, group=64)),
    "gptq-order": (gptq, dict(symmetric=False, ordered=True)),
    "gptq-order-symmetric": (gptq, dict(ordered=True, group=64)),
    "gptq-v2-rows": (gptq, dict(version=2, group=-1, index=False)),
    "gptq-v2-asymmetric": (gptq, dict(version=2, symmetric=False, index=False)),
    "gptq-8": (gptq, dict(bits=8)),
    "gptq-8-asymmetric": (gptq, dict(bits=8, symmetric=False, group=64)),
    "gptq-3": (gptq, dict(bits=3, symmetric=False)),
    "gptq-3-symmetric": (gptq, dict(bits=3)),
    "gptq-2": (gptq, dict(bits=2, symmetric=False, ordered=True)),
    "gptq-narrow-groups": (gptq, dict(group=16, symmetric=False)),
    "awq": (awq, {}),
    "awq-wide": (awq, dict(group=64)),
    "awq-rows": (awq, dict(group=-1)),
    "compressed-4": (compressed, {}),
    "compressed-4-asymmetric": (compressed, dict(symmetric=False, group=64)),
    "compressed-4-rows": (compressed, dict(group=-1)),
    "compressed-4-order": (compressed, dict(ordered=True)),
    "compressed-8": (compressed, dict(bits=8, symmetric=False)),
    "compressed-bytes": (compressed, dict(kind="int-quantized", bits=8, group=-1)),
    "compressed-bytes-asymmetric": (compressed, dict(kind="int-quantized", bits=8, symmetric=False, group=-1)),
    "bitsandbytes": (bitsandbytes, {}),
}
UNKEPT = {"gptq-8-asymmetric", "gptq-narrow-groups", "compressed-8", "compressed-bytes-asymmetric"}
# Scales that f16 rounds: SCB is f32.
ROUNDED = {"bitsandbytes"}


def drawn(seed: int, **changes):
    torch.manual_seed(seed)
    sizes = dict(hidden_size=128, intermediate_size=192, num_attention_heads=4, num_key_value_heads=2)
    cls, config = small_models.llama(random.Random(seed), **sizes | changes)
    return small_models.shaken(cls(config))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_matrices_meant(kind, tmp_path):
    write, options = KINDS[kind]
    model = checkpoints.write(tmp_path / "model", drawn(1), write, **options)
    if kind in ROUNDED:
        ids = np.arange(40)
        with torch.no_grad():
            expected = model(torch.tensor(ids)[None]).logits[0].numpy()
        assert np.std(scores(tmp_path / "model", ids) - expected) < 2e-3 * np.std(expected)
    else:
        expect_scores(tmp_path / "model", model, 1, lengths=(1, 33))


@pytest.mark.parametrize("kind", KINDS)
def test_running_rounds_activations_and_no_more(kind, tmp_path):
    write, options = KINDS[kind]
    model = checkpoints.write(tmp_path / "model", drawn(2), write, **options)
    ids = np.random.default_rng(2).integers(0, model.config.vocab_size, 40)
    subprocess.run([PROGRAM, "logits", tmp_path / "model", "--ids", ",".join(map(str, ids)), "-o", tmp_path / "scores.npy"], check=True)
    with torch.no_grad():
        expected = model(torch.tensor(ids)[None]).logits[0].numpy()
    assert np.std(np.load(tmp_path / "scores.npy") - expected) < 0.02 * np.std(expected)


@pytest.mark.parametrize("kind", ["gptq-asymmetric", "gptq-order", "gptq-8", "awq", "compressed-4", "gptq-8-asymmetric"])
def test_converted_the_matrices_are_the_same_numbers(kind, tmp_path):
    write, options = KINDS[kind]
    model = checkpoints.write(tmp_path / "model", drawn(3), write, **options)
    subprocess.run([PROGRAM, "convert", tmp_path / "model", "-o", tmp_path / "plain"], check=True)
    assert "quantization_config" not in json.loads((tmp_path / "plain/config.json").read_text())
    plain = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype=torch.float32).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(plain[name], value), name
    subprocess.run([PROGRAM, "convert", tmp_path / "model", "-o", tmp_path / "m.gguf"], check=True)
    tensors = {t.name: t for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    down = tensors["blk.0.ffn_down.weight"]
    got = gguf.quants.dequantize(down.data, down.tensor_type).reshape(128, 192)
    assert np.array_equal(got, model.model.layers[0].mlp.down_proj.weight.detach().numpy())
    if kind not in ("gptq-order", "gptq-8-asymmetric"):
        assert down.tensor_type.name in ("Q4_0", "Q5_0", "Q8_0")


@pytest.mark.parametrize("kind", ["gptq-asymmetric", "awq", "compressed-8", "gptq-8-asymmetric"])
def test_kept_packed_a_directory_gives_the_same_scores(kind, tmp_path):
    write, options = KINDS[kind]
    checkpoints.write(tmp_path / "model", drawn(10), write, **options)
    subprocess.run([PROGRAM, "convert", tmp_path / "model", "--packed", "-o", tmp_path / "packed"], check=True)
    ids = np.arange(12)
    assert np.array_equal(scores(tmp_path / "packed", ids), scores(tmp_path / "model", ids))
    layers = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("model", "packed")]
    assert layers[1] < 1.25 * layers[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_gives_the_same_scores(kind, tmp_path):
    write, options = KINDS[kind]
    checkpoints.write(tmp_path / "model", drawn(11), write, **options)

    def scores_with(cache):
        words = ["logits", tmp_path / "model", "--weight-cache", cache, "--ids", "1,5,9,20", "-o", tmp_path / "scores.npy"]
        subprocess.run([PROGRAM, *words], check=True)
        return np.load(tmp_path / "scores.npy")
    expected = scores_with("off")
    for _ in range(2):
        assert np.array_equal(scores_with(tmp_path / "kept"), expected)
    # Of these no matrix has a layout for the processor.
    assert len(list((tmp_path / "kept").glob("*.weights"))) == (kind not in UNKEPT)


def test_matrices_stay_in_few_bits(tmp_path):
    checkpoints.write(tmp_path / "model", drawn(4, hidden_size=256, intermediate_size=512), awq, group=128)
    tree = json.loads(subprocess.run([PROGRAM, "inspect", tmp_path / "model", "--json"], check=True, capture_output=True).stdout)
    text = json.dumps(tree)
    assert "int4_zero" in text


def test_biases_of_zeros_beside_every_matrix_are_nothing(tmp_path):
    model = checkpoints.write(tmp_path / "model", drawn(5), gptq)
    tensors = load_file(tmp_path / "model/model.safetensors")
    for name in [n for n in tensors if n.endswith(".scales")]:
        tensors[name.replace(".scales", ".bias")] = torch.zeros(tensors[name].shape[1], dtype=torch.float16)
    save_file(tensors, tmp_path / "model/model.safetensors")
    expect_scores(tmp_path / "model", model, 5, lengths=(9,))


def test_the_table_beside_the_config_is_read(tmp_path):
    model = checkpoints.write(tmp_path / "model", drawn(6), gptq, symmetric=False)
    path = tmp_path / "model/config.json"
    config = json.loads(path.read_text())
    table = config.pop("quantization_config")
    del table["quant_method"]
    path.write_text(json.dumps(config))
    (tmp_path / "model/quantize_config.json").write_text(json.dumps(table))
    expect_scores(tmp_path / "model", model, 6, lengths=(9,))


@pytest.mark.skipif(importlib.util.find_spec("compressed_tensors") is None, reason="compressed-tensors is not installed")
@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith("compressed") and not k.endswith("order")])
def test_the_librarys_own_reader_finds_the_same_matrices(kind, tmp_path):
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme
    write, options = KINDS[kind]
    model = checkpoints.write(tmp_path / "model", drawn(7), write, dtype=torch.float16, **options)
    table = json.loads((tmp_path / "model/config.json").read_text())["quantization_config"]
    scheme = QuantizationScheme(**table["config_groups"]["group_0"])
    reader = BaseCompressor.get_value_from_registry("pack-quantized" if table["format"] == "pack-quantized" else "naive-quantized")
    tensors = load_file(tmp_path / "model/model.safetensors")
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            parts = {key[len(name) + 1:]: value for key, value in tensors.items() if key.startswith(name + ".")}
            theirs = reader.decompress(parts, scheme)["weight"].float()
            with torch.no_grad():
                module.weight.copy_(theirs)
    ids = np.arange(20)
    with torch.no_grad():
        expected = model(torch.tensor(ids)[None]).logits[0].float().numpy()
    # They round the matrix to f16, the type of its scales.
    assert np.std(scores(tmp_path / "model", ids) - expected) < 2e-3 * np.std(expected)


def test_what_cannot_be_read_is_named(tmp_path):
    checkpoints.write(tmp_path / "model", drawn(8), gptq)
    table = json.loads((tmp_path / "model/config.json").read_text())["quantization_config"]
    for changes, part in [(dict(quant_method="hqq"), "gptq, awq, compressed-tensors, bitsandbytes"), (dict(bits=5), "2, 3, 4, 8"),
                          (dict(group_size=40), "192 columns do not divide into groups of 40"), (dict(checkpoint_format="marlin"), "gptq_v2")]:
        small_models.edit_config(tmp_path / "model", quantization_config=table | changes)
        result = subprocess.run([PROGRAM, "logits", tmp_path / "model", "--ids", "1", "-o", tmp_path / "x.npy"], capture_output=True, text=True)
        assert result.returncode == 3 and part in result.stderr and result.stderr.count("\n") == 1, result.stderr


class LlmInt8(torch.nn.Module):
    """The formula: rows of W and tokens of x as multiples of their greatest magnitude / 127, elements of x beyond the threshold left as they are."""

    def __init__(self, linear: torch.nn.Linear, threshold: float):
        super().__init__()
        self.threshold, self.bias = threshold, linear.bias
        self.most = linear.weight.abs().amax(1).double()
        self.codes = torch.round(linear.weight.double() * (127 / self.most[:, None]))

    def forward(self, x):
        x = x.double()
        outlier = x.abs() > self.threshold
        rest = torch.where(outlier, 0, x)
        most = rest.abs().amax(-1, keepdim=True)
        codes = torch.round(rest * (127 / most))
        y = (codes @ self.codes.T) * (most / 127) + torch.where(outlier, x, 0) @ self.codes.T
        y = y * (self.most / 127)
        return (y if self.bias is None else y + self.bias).float()


@pytest.mark.parametrize("threshold", [0.7, 6.0])
def test_llm_int8_is_its_formula(threshold, tmp_path):
    model = drawn(9, num_hidden_layers=1)
    model.save_pretrained(tmp_path / "model")
    ids = np.random.default_rng(9).integers(0, model.config.vocab_size, 30)
    with torch.no_grad():
        plain = model(torch.tensor(ids)[None]).logits[0].numpy()
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, LlmInt8(module, threshold))
    words = ["--rewrite", f"llm_int8 threshold={threshold}", "--ids", ",".join(map(str, ids)), "-o", tmp_path / "scores.npy"]
    subprocess.run([PROGRAM, "logits", tmp_path / "model", *words], check=True)
    with torch.no_grad():
        expected = model(torch.tensor(ids)[None]).logits[0].numpy()
    ours = np.load(tmp_path / "scores.npy")
    # Products next to the middle of two codes may round to either, which few do.
    assert np.std(ours - expected) < 0.15 * np.std(plain - expected)
