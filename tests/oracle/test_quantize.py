"""`martlet quantize` and `martlet perplexity` beside llama.cpp's quantiser and the same measures of its scores."""
from __future__ import annotations

import json
import pathlib
import random
import subprocess

import numpy as np
import pytest
import torch
import transformers as hf

import gguf
import small_models
from test_convert import byte_level, convert, corpus, llama_peer, needs_llama_cpp
from test_models import PROGRAM

FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q8_0": 7, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "iq4_nl": 25}


def quantize(source, out, to, *more):
    subprocess.run([PROGRAM, "quantize", source, "--to", to, "-o", out, *map(str, more)], check=True, capture_output=True)
    return out


def wide(rng, **changes):
    return small_models.llama(rng, **dict(hidden_size=256, intermediate_size=512, num_hidden_layers=9, num_attention_heads=8, num_key_value_heads=2, vocab_size=131) | changes)


MODELS = {
    "llama": wide,
    "llama-tied": lambda rng: wide(rng, tie_word_embeddings=True),
    "llama-narrow": lambda rng: wide(rng, hidden_size=96, intermediate_size=288, num_attention_heads=4),
    "gpt2": lambda rng: (hf.GPT2LMHeadModel, hf.GPT2Config(vocab_size=131, n_embd=256, n_layer=9, n_head=4, n_positions=128, tie_word_embeddings=False)),
}


@pytest.fixture(scope="module", params=MODELS)
def files(request, tmp_path_factory):
    """A model as an f32 file, and importance of its matrices in the form of llama.cpp's imatrix tool."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(1)
    cls, config = MODELS[request.param](random.Random(1))
    model = small_models.shaken(cls(config))
    with torch.no_grad():  # tails, as trained weights have
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(torch.exp(0.5 * torch.randn_like(parameter)))
    model.save_pretrained(folder / "model")
    path = convert(folder / "model", folder / "f32.gguf")
    rng = np.random.default_rng(2)
    importance = {}
    writer = gguf.GGUFWriter(folder / "importance.gguf", "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["drawn"])
    writer.add_uint32("imatrix.chunk_count", 4)
    writer.add_uint32("imatrix.chunk_size", 512)
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2:
            values = rng.lognormal(0, 1.5, int(tensor.shape[0])).astype(np.float32)
            importance[tensor.name] = values
            writer.add_tensor(f"{tensor.name}.in_sum2", values[None] * 100)
            writer.add_tensor(f"{tensor.name}.counts", np.full((1, 1), 100, np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    return folder, path, importance


def tensors_of(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def dense(tensor) -> np.ndarray:
    columns = int(tensor.shape[0])
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64).reshape(-1, columns)


@needs_llama_cpp
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("to", FILE_TYPES)
def test_types_are_those_of_llama_cpp_and_no_error_is_greater(files, to, weighted, tmp_path):
    folder, source, importance = files
    more = ["--imatrix", folder / "importance.gguf"] if weighted else []
    ours = tensors_of(quantize(source, tmp_path / "ours.gguf", to, *more))
    llama_peer.quantise(source, tmp_path / "theirs.gguf", FILE_TYPES[to], importance if weighted else None)
    theirs = tensors_of(tmp_path / "theirs.gguf")
    plain = tensors_of(source)
    assert ours.keys() == theirs.keys() == plain.keys()
    for name, tensor in ours.items():
        assert tensor.tensor_type == theirs[name].tensor_type, name
        if tensor.tensor_type.name in ("F32", "F16"):
            assert np.array_equal(tensor.data, theirs[name].data), name
            continue
        weights = importance.get(name, 1.0) if weighted else 1.0
        exact = dense(plain[name])
        error, their_error = (float((weights * (dense(t) - exact) ** 2).sum()) for t in (tensor, theirs[name]))
        assert error <= their_error, f"{name} {tensor.tensor_type.name}: {error / their_error:.4f} of theirs"


@needs_llama_cpp
@pytest.mark.parametrize("to", ["q4_0", "q5_1", "q8_0", "q4_k_m", "q6_k", "iq4_nl"])
def test_llama_cpp_computes_what_the_file_says(files, to, tmp_path):
    folder, source, _ = files
    if folder.name.startswith("llama-narrow") and to != "q4_0":
        pytest.skip("the same path as q4_0")
    path = quantize(source, tmp_path / "m.gguf", to)
    ids = np.random.default_rng(3).integers(0, 131, 40)
    subprocess.run([PROGRAM, "logits", path, "--ids", ",".join(map(str, ids)), "-o", tmp_path / "scores.npy"], check=True)
    ours = np.load(tmp_path / "scores.npy")
    peer = llama_peer.Peer(path)
    # Their products round activations to 8 bits, nine layers deep; numbers laid out wrongly would share nothing with ours.
    assert np.std(peer.logits(ids) - ours) <= 0.05 * np.std(ours)
    peer.close()


def test_the_same_file_on_any_number_of_threads(files, tmp_path):
    folder, source, _ = files
    copies = []
    for threads in (1, 3):
        path = quantize(source, tmp_path / f"{threads}.gguf", "q4_k_m", "--imatrix", folder / "importance.gguf", "--threads", threads)
        copies.append(path.read_bytes())
    assert copies[0] == copies[1]


# ---- a model that reads text

@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    tokenizer = byte_level(None, digits=True, post=True)
    torch.manual_seed(4)
    cls, config = wide(random.Random(4), vocab_size=tokenizer.get_vocab_size(), num_hidden_layers=2, max_position_embeddings=256)
    model = small_models.shaken(cls(config))
    model.save_pretrained(folder / "model")
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|eos|>").save_pretrained(folder / "model")
    (folder / "text.txt").write_text("\n".join(corpus(5)))
    ids = tokenizer.encode((folder / "text.txt").read_text()).ids
    return folder, model, np.array(ids), tokenizer.token_to_id("<|bos|>")


def windows(ids, context, begin):
    for at in range(0, len(ids) - context + 1, context):
        window = ids[at:at + context].copy()
        window[0] = begin
        yield window, ids[at:at + context]


def log_softmax(scores):
    scores = scores.astype(np.float64)
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


@needs_llama_cpp
def test_perplexity_is_that_of_llama_cpps_rule(reader, tmp_path):
    folder, model, ids, begin = reader
    first, second = convert(folder / "model", tmp_path / "f32.gguf"), quantize(folder / "model", tmp_path / "q4.gguf", "q4_0")
    peers = [llama_peer.Peer(path) for path in (first, second)]
    losses, divergences, same = ([], []), [], []
    for window, targets in windows(ids, 64, begin):
        p, q = (log_softmax(peer.logits(window))[32:63] for peer in peers)
        for logs, into in zip((p, q), losses):
            into += [-row[target] for row, target in zip(logs, targets[33:64])]
        divergences += list((np.exp(p) * (p - q)).sum(-1))
        same += list(p.argmax(-1) == q.argmax(-1))
    result = json.loads(subprocess.run([PROGRAM, "perplexity", first, folder / "text.txt", "--context", "64", "--against", second, "--json"],
                                       check=True, capture_output=True).stdout)
    assert result["tokens"] == len(losses[0])
    assert abs(result["loss"] - np.mean(losses[0])) < 1e-3
    assert abs(result["loss_error"] - np.std(losses[0]) / np.sqrt(len(losses[0]) - 1)) < 1e-3
    # Their products round activations to 8 bits, ours do not.
    assert abs(result["other"]["loss"] - np.mean(losses[1])) < 2e-2
    assert abs(result["kl"] - np.mean(divergences)) < 0.1 * np.mean(divergences) + 1e-3
    assert abs(result["same_top"] - np.mean(same)) < 0.03
    alone = json.loads(subprocess.run([PROGRAM, "perplexity", folder / "model", folder / "text.txt", "--context", "64", "--json"], check=True, capture_output=True).stdout)
    assert abs(alone["loss"] - result["loss"]) < 1e-6
    for peer in peers:
        peer.close()


def test_importance_is_the_mean_square_of_every_layers_input(reader, tmp_path):
    folder, model, ids, begin = reader
    sums, count = {}, 0
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            def listen(_, inputs, name=name):
                sums[name] = sums.get(name, 0) + inputs[0][0].double().square().sum(0)
            handles.append(module.register_forward_pre_hook(listen))
    with torch.no_grad():
        for window, _ in windows(ids, 256, begin):
            model(torch.tensor(window)[None])
            count += len(window)
    for handle in handles:
        handle.remove()
    quantize(folder / "model", tmp_path / "m.gguf", "q4_0", "--imatrix", folder / "text.txt", "--save-imatrix", tmp_path / "importance.gguf")
    found = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "importance.gguf").tensors}
    for name, squares in sums.items():
        stored = names.get_name(name + ".weight", try_suffixes=(".weight",))
        expected = (squares / count).numpy()
        got = np.array(found[stored + ".in_sum2"]).reshape(-1) / np.array(found[stored + ".counts"]).reshape(-1)
        assert np.allclose(got, expected, rtol=1e-3, atol=1e-6 * expected.max()), name
    again = quantize(folder / "model", tmp_path / "again.gguf", "q4_0", "--imatrix", tmp_path / "importance.gguf")
    # Means go through sums and back: a last bit may differ, no more.
    differing = np.mean(np.frombuffer(again.read_bytes(), np.uint8) != np.frombuffer((tmp_path / "m.gguf").read_bytes(), np.uint8))
    assert differing < 1e-3


def test_quality_and_sizes_are_told(reader, tmp_path):
    folder, *_ = reader
    out = subprocess.run([PROGRAM, "quantize", folder / "model", "--to", "q8_0", "-o", tmp_path / "m.gguf", "--compare", folder / "text.txt", "--json"],
                         capture_output=True)
    # The model's context is 256 tokens and the comparison reads windows of 512 unless the context is shorter.
    assert out.returncode == 0, out.stderr
    row = json.loads(out.stdout)
    assert 8 < row["bits_after"] < 9.5 and row["bits_before"] == 32
    assert row["quality"]["kl"] < 0.01 and row["quality"]["same_top"] > 0.9


REFUSED = {
    ("--to", "q3_k_m"): (2, "q4_0"),
    ("--to", "q4_0", "--imatrix", "f32.gguf"): (3, "imatrix"),
    ("--to", "q4_0", "--imatrix", "missing.txt"): (3, "missing.txt"),
    ("--to", "q4_0", "--save-imatrix", "x.gguf"): (2, "--imatrix"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_done_is_said(reader, words, tmp_path):
    folder, *_ = reader
    convert(folder / "model", tmp_path / "f32.gguf")
    result = subprocess.run([PROGRAM, "quantize", folder / "model", *words, "-o", "m.gguf"], cwd=tmp_path, capture_output=True, text=True)
    code, part = REFUSED[words]
    assert result.returncode == code and part in result.stderr and not (tmp_path / "m.gguf").exists(), result.stderr


def test_a_directory_is_written_by_apply(reader, tmp_path):
    folder, model, *_ = reader
    result = subprocess.run([PROGRAM, "quantize", folder / "model", "-o", tmp_path / "out"], capture_output=True, text=True)
    assert result.returncode == 2 and "apply" in result.stderr
    subprocess.run([PROGRAM, "apply", folder / "model", "quantize", "to=q4_0", "-o", tmp_path / "out"], check=True)
    theirs = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    ids = np.arange(9)
    subprocess.run([PROGRAM, "logits", tmp_path / "out", "--skip-rewrite", "int8_activations", "--ids", ",".join(map(str, ids)), "-o", tmp_path / "scores.npy"], check=True)
    with torch.no_grad():
        expected = theirs(torch.tensor(ids)[None]).logits[0].numpy()
    # Opening packs the rounded weights again, which gives them back.
    assert np.abs(np.load(tmp_path / "scores.npy") - expected).max() <= 5e-5 * np.abs(expected).max()
