"""`martlet convert` both ways: GGUF files that llama.cpp and the gguf package read, directories that transformers reads."""
from __future__ import annotations

import json
import pathlib
import random
import subprocess

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.numpy import load_file

import small_models
try:  # it is compiled when it is installed, which takes minutes: used where it is
    import llama_peer
except ImportError:
    llama_peer = None
from test_models import PROGRAM, drawn_minicpm, expect_close, scores, with_scales

needs_llama_cpp = pytest.mark.skipif(llama_peer is None, reason="llama-cpp-python is not installed")
# What files can say of the families of small_models.
WRITTEN = ["llama", "llama-tied-biases", "llama-linear", "llama-yarn", "llama-llama3", "llama-longrope", "llama-longrope-attention", "mistral", "qwen2",
           "qwen2-window", "smollm3-interval", "gpt2", "phi3", "phi3-longrope", "phi3-longrope-part", "mixtral", "qwen2-moe", "qwen3-moe"]


def qwen3(rng):
    return hf.Qwen3ForCausalLM, hf.Qwen3Config(**small_models.sizes(rng), head_dim=rng.choice([16, 32]))


def gemma3(rng):
    # Norms of 16 significant bits: with the 1 that files add to them they are exact in f32.
    return hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(
        **small_models.sizes(rng, num_hidden_layers=7), head_dim=16, query_pre_attn_scalar=16, sliding_window=9, final_logit_softcapping=rng.choice([None, 3.0]),
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 700.0},
                         "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}})


def gemma2(rng):
    return small_models.gemma2(rng, num_hidden_layers=3, query_pre_attn_scalar=16)


OWN = {"qwen3-plain": qwen3, "gemma-usual": small_models.gemma, "gemma2-usual": gemma2, "gemma3-usual": gemma3}


def drawn(family: str, seed: int):
    if family not in OWN:
        return small_models.drawn(family, seed)
    torch.manual_seed(seed)
    cls, config = OWN[family](random.Random(f"{family} {seed}"))
    config._attn_implementation = "eager"
    model = small_models.shaken(cls(config))
    if family.startswith("gemma"):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.copy_((parameter * 2**16).round() / 2**16)
    return model


def convert(source: pathlib.Path, out: pathlib.Path, *more):
    subprocess.run([PROGRAM, "convert", source, "-o", out, *more], check=True)
    return out


def refused(source: pathlib.Path, out: pathlib.Path) -> str:
    result = subprocess.run([PROGRAM, "convert", source, "-o", out], capture_output=True, text=True)
    assert result.returncode == 3 and not out.exists(), result.stderr
    return result.stderr


def expected_scores(model, ids):
    with torch.no_grad():
        return model(torch.tensor(ids)[None]).logits[0].numpy()


@pytest.mark.parametrize("family", WRITTEN + list(OWN))
def test_a_written_file_gives_the_scores_of_transformers_here_and_in_llama_cpp_where_that_is(family, tmp_path):
    for seed in (1, 2):
        model = drawn(family, seed)
        model.save_pretrained(tmp_path / f"model{seed}")
        path = convert(tmp_path / f"model{seed}", tmp_path / f"m{seed}.gguf")
        rng = np.random.default_rng(seed)
        peer = llama_peer and llama_peer.Peer(path)
        # Windows have no key in most architectures: files of such models say a context as long as the window.
        limit = getattr(model.config, "sliding_window", None) if family in ("mistral", "qwen2-window", "phi3") else None
        for length in (1, 8, 33, 100):
            ids = rng.integers(0, model.config.vocab_size, min(length, limit or length))
            expected = expected_scores(model, ids)
            expect_close(scores(path, ids), expected, f"{family} {length} tokens")
            if peer is None or ("longrope" in family and length <= 33):
                continue  # llama.cpp takes the long factors as soon as its own context is long
            error = np.abs(peer.logits(ids) - expected).max() / np.abs(expected).max()
            # llama.cpp multiplies in f32 here; its exponentials and GELU are tables of half precision.
            assert error <= 2e-3, f"llama.cpp, {family}, {length} tokens: {error:.2e} of the largest"
        if peer:
            peer.close()


@pytest.mark.parametrize("family", WRITTEN + list(OWN))
def test_there_and_back_every_weight_has_its_bits(family, tmp_path):
    model = drawn(family, 3)
    model.save_pretrained(tmp_path / "model")
    back = convert(convert(tmp_path / "model", tmp_path / "m.gguf"), tmp_path / "back")
    before, after = load_file(tmp_path / "model/model.safetensors"), load_file(back / "model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype and np.array_equal(tensor, after[name]), name
    theirs = hf.AutoModelForCausalLM.from_pretrained(back, dtype=torch.float32, attn_implementation="eager").eval()
    # A directory of the llama family stands for what files hold of mistral: within its window.
    ids = np.random.default_rng(3).integers(0, model.config.vocab_size, 1 if family == "mistral" else 7)
    expect_close(expected_scores(theirs, ids), expected_scores(model, ids), family)


@pytest.mark.parametrize("seed", [1, 2])
def test_minicpm(seed, tmp_path):
    model, keys = drawn_minicpm(seed, False)
    model.save_pretrained(tmp_path / "model")
    small_models.edit_config(tmp_path / "model", **keys)
    path = convert(tmp_path / "model", tmp_path / "m.gguf")
    ids = np.random.default_rng(seed).integers(0, model.config.vocab_size, 33)
    expected = expected_scores(with_scales(model, keys), ids)
    expect_close(scores(path, ids), expected, "minicpm")
    if llama_peer is None:
        return
    peer = llama_peer.Peer(path)
    assert np.abs(peer.logits(ids) - expected).max() <= 2e-3 * np.abs(expected).max()
    peer.close()


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_dtypes(dtype, tmp_path):
    import gguf
    model = drawn("llama", 4)
    model.save_pretrained(tmp_path / "model")
    path = convert(tmp_path / "model", tmp_path / "m.gguf", "--dtype", dtype)
    torch_dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype]
    for tensor in gguf.GGUFReader(path).tensors:
        wanted = "F32" if len(tensor.shape) == 1 else dtype.upper()
        assert tensor.tensor_type.name == wanted, tensor.name
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.copy_(parameter.to(torch_dtype).float())
    ids = np.random.default_rng(4).integers(0, model.config.vocab_size, 20)
    expect_close(scores(path, ids), expected_scores(model, ids), dtype)
    back = convert(path, tmp_path / "back", "--dtype", dtype)
    assert {str(t.dtype) for t in hf.AutoModelForCausalLM.from_pretrained(back, dtype="auto").state_dict().values()} == {str(torch_dtype)}


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_a_packed_file_becomes_a_directory_of_its_unpacked_weights(kind, tmp_path):
    import gguf_models
    torch.manual_seed(5)
    cls, config = small_models.llama(random.Random(5), hidden_size=64, intermediate_size=96)
    model = small_models.shaken(cls(config))
    gguf_models.write(tmp_path / "m.gguf", model, np.random.default_rng(5), kind)
    back = convert(tmp_path / "m.gguf", tmp_path / "back")
    after = load_file(back / "model.safetensors")
    for name, tensor in model.state_dict().items():
        assert np.array_equal(tensor.numpy(), after[name]), name


def test_a_file_copied_keeps_its_metadata_and_bytes(tmp_path):
    import gguf
    import gguf_models
    torch.manual_seed(6)
    cls, config = small_models.llama_rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)(random.Random(6))
    gguf_models.write(tmp_path / "m.gguf", small_models.shaken(cls(config)), np.random.default_rng(6), "F16", metadata=lambda writer: writer.add_author("A. Nobody"))
    before, after = gguf.GGUFReader(tmp_path / "m.gguf"), gguf.GGUFReader(convert(tmp_path / "m.gguf", tmp_path / "copy.gguf"))
    assert bytes(after.fields["general.author"].parts[-1]).decode() == "A. Nobody"
    assert set(before.fields) <= set(after.fields)
    tensors = {t.name: t for t in after.tensors}
    assert {t.name for t in before.tensors} == set(tensors)
    for tensor in before.tensors:
        assert tensor.tensor_type == tensors[tensor.name].tensor_type and np.array_equal(tensor.data, tensors[tensor.name].data), tensor.name


REFUSED = {
    "llama-dynamic": "rope_type is dynamic", "llama-yarn-mscale": "mscale", "llama-yarn-attention": "attention_factor", "smollm3": "every fourth",
    "gpt2-unscaled": "scale_attn_weights", "gemma3-soft-caps": "attn_logit_softcapping", "gemma3-two-rotations": "every sixth",
    "gemma-biases": "attention_bias", "gemma2-layers": "every other", "qwen2-moe-mixed": "qkv_bias", "qwen3-moe-mixed": "attention_bias",
}


@pytest.mark.parametrize("family", REFUSED)
def test_what_the_form_cannot_say_is_refused_by_name(family, tmp_path):
    for seed in range(1, 9):  # some draws are usual by chance
        folder = tmp_path / str(seed)
        small_models.drawn(family, seed).save_pretrained(folder)
        result = subprocess.run([PROGRAM, "convert", folder, "-o", tmp_path / "m.gguf"], capture_output=True, text=True)
        if result.returncode != 0:
            assert result.returncode == 3 and not (tmp_path / "m.gguf").exists()
            if REFUSED[family] in result.stderr:
                return
    pytest.fail(f"no draw of {family} was refused for {REFUSED[family]}: {result.stderr}")


def test_a_family_without_a_form_is_refused_with_those_that_have_one(tmp_path):
    hf.BertModel(hf.BertConfig(vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)).save_pretrained(tmp_path / "model")
    message = refused(tmp_path / "model", tmp_path / "m.gguf")
    assert "bert" in message and "llama, mistral, qwen2" in message


def test_a_rewrite_of_its_own_parameters_is_refused(tmp_path):
    drawn("llama", 7).save_pretrained(tmp_path / "model")
    result = subprocess.run([PROGRAM, "convert", tmp_path / "model", "--rewrite", "low_rank pattern=layers.0.feed_forward.* rank=3", "-o", tmp_path / "m.gguf"],
                            capture_output=True, text=True)
    assert result.returncode == 3 and "rewrite" in result.stderr and not (tmp_path / "m.gguf").exists()


# ---- tokenizers

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
QWEN2 = LLAMA3.replace("{1,3}", "")


def corpus(seed):
    rng = random.Random(seed)
    words = ["the", "don't", "we'll", "HELLO", "naïve", "中文", "日本語", "мир", "foo_bar", "12345", "3.14", "  ", "\n", "\t", "x==y", "👍🏽", "été", "I'VE"]
    return [" ".join(rng.choice(words) for _ in range(30)) for _ in range(60)]


def byte_level(pattern, digits=False, whole_words=False, post=False):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers as P, processors, trainers
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    parts = [P.Digits(individual_digits=True)] if digits else [P.Split(Regex(pattern), "isolated")] if pattern else []
    tokenizer.pre_tokenizer = P.Sequence([*parts, P.ByteLevel(add_prefix_space=False, use_regex=not parts or digits)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(1), trainers.BpeTrainer(vocab_size=400, special_tokens=["<|bos|>", "<|eos|>"], initial_alphabet=P.ByteLevel.alphabet()))
    if post:
        tokenizer.post_processor = processors.TemplateProcessing(single="<|bos|> $A", pair="<|bos|> $A $B", special_tokens=[("<|bos|>", tokenizer.token_to_id("<|bos|>"))])
    return tokenizer


def sentence_pieces(prefix):
    """What converters make of SentencePiece models: bytes to fall back on, merges in the order of their tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers as N, trainers
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    normal = N.Sequence(([N.Prepend("▁")] if prefix else []) + [N.Replace(" ", "▁")])
    trained.normalizer = normal
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    trained.train_from_iterator([word for line in corpus(2) for word in line.split(" ")], trainers.BpeTrainer(vocab_size=480, special_tokens=specials))
    file = json.loads(trained.to_str())
    vocabulary = file["model"]["vocab"]
    ranks = {token: i for i, token in enumerate(sorted((t for t in vocabulary if t not in specials), key=vocabulary.get))}
    merges = [(left + token[len(left):], left, token[len(left):]) for token in ranks for left in (token[:i] for i in range(1, len(token)))
              if left in ranks and token[len(left):] in ranks]
    merges.sort(key=lambda m: (ranks[m[0]], vocabulary[m[1]], vocabulary[m[2]]))
    file["model"]["merges"] = [[left, right] for _, left, right in merges]
    file["added_tokens"] = [t for t in file["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()] + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    return tokenizer


TOKENIZERS = {
    "gpt2": lambda: byte_level(None), "gpt2-spelled-out": lambda: byte_level(GPT2), "smollm": lambda: byte_level(None, digits=True),
    "llama3": lambda: byte_level(LLAMA3, whole_words=True, post=True), "qwen2": lambda: byte_level(QWEN2), "sentence-pieces": lambda: sentence_pieces(True),
    "sentence-pieces-without-a-space": lambda: sentence_pieces(False),
}


@pytest.fixture(params=TOKENIZERS)
def with_tokenizer(request, tmp_path):
    """A directory with a tokenizer, fewer tokens than embeddings, a chat template, two ends."""
    tokenizer = TOKENIZERS[request.param]()
    names = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>") if "pieces" in request.param else dict(bos_token="<|bos|>", eos_token="<|eos|>")
    config = hf.LlamaConfig(**small_models.sizes(random.Random(1), vocab_size=tokenizer.get_vocab_size() + 7))
    small_models.shaken(hf.LlamaForCausalLM(config)).save_pretrained(tmp_path / "model")
    fast = hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    fast.save_pretrained(tmp_path / "model")
    (tmp_path / "model/generation_config.json").write_text(json.dumps({"eos_token_id": [fast.eos_token_id, 5], "bos_token_id": fast.bos_token_id}))
    return tmp_path / "model", fast


def texts():
    from test_tokenizers import STRINGS
    return STRINGS[:150] + corpus(3)


def ids_of(path, lines):
    out = subprocess.run([PROGRAM, "tokenize", path, "--json"], input="".join(json.dumps(line) + "\n" for line in lines).encode(), capture_output=True, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def test_tokenizers_give_the_same_ids_from_the_file_and_from_the_directory_made_of_it(with_tokenizer, tmp_path):
    folder, fast = with_tokenizer
    # GGUF's tokenizers take special tokens out of a text longest first, and put a space before what follows one.
    lines = [t for t in texts() if "<" not in t and "[" not in t]
    expected = [fast.backend_tokenizer.encode(line).ids for line in lines]
    path = convert(folder, tmp_path / "m.gguf")
    assert ids_of(path, lines) == expected
    back = convert(path, tmp_path / "back")
    again = hf.AutoTokenizer.from_pretrained(back)
    assert [again.backend_tokenizer.encode(line).ids for line in lines] == expected
    assert again.chat_template == fast.chat_template
    assert (again.bos_token, again.eos_token) == (fast.bos_token, fast.eos_token)
    assert json.loads((back / "generation_config.json").read_text())["eos_token_id"] == [fast.eos_token_id, 5]
    hf.AutoModelForCausalLM.from_pretrained(back)


@needs_llama_cpp
def test_llama_cpp_gives_the_same_ids(with_tokenizer, tmp_path):
    folder, fast = with_tokenizer
    peer = llama_peer.Peer(convert(folder, tmp_path / "m.gguf"))
    lines = [line for line in corpus(4) if "  " not in line] + ["Hello, world!", "naïve 中文 12345", "a\n\nb\tc", "don't"]
    for line in lines:
        assert peer.tokenize(line) == fast.backend_tokenizer.encode(line).ids, repr(line)
    peer.close()


def test_a_tokenizer_that_would_give_other_ids_is_refused(tmp_path):
    from tokenizers import pre_tokenizers as P
    drawn("llama", 8).save_pretrained(tmp_path / "model")
    tokenizer = byte_level(None)
    tokenizer.pre_tokenizer = P.Sequence([P.Whitespace(), P.ByteLevel(add_prefix_space=False)])
    small_models.edit_config(tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    hf.LlamaForCausalLM(hf.LlamaConfig(**{k: config[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")},
                                       vocab_size=tokenizer.get_vocab_size())).save_pretrained(tmp_path / "model")
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "model")
    assert "Whitespace" in refused(tmp_path / "model", tmp_path / "m.gguf")
    tokenizer.pre_tokenizer = P.ByteLevel(add_prefix_space=True)
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "model")
    assert "add_prefix_space" in refused(tmp_path / "model", tmp_path / "m.gguf")
