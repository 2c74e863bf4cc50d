"""`eval loss` against the cross-entropy of torch on transformers' logits, `embed` against transformers' BertModel."""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import tokenizers
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MARTLET", str(ROOT / "build/release/martlet"))


def martlet(*words, text=None):
    return subprocess.run([PROGRAM, *map(str, words)], input=text, capture_output=True, text=True, check=True).stdout


def jiggle(model):
    """Biases and norms begin at 0 and 1, which would hide mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.05))
    return model.eval()


@pytest.mark.parametrize("seed", [1, 2])
def test_loss_agrees_with_torch(seed, tmp_path):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(vocab_size=199, hidden_size=48, num_hidden_layers=2, max_position_embeddings=128, intermediate_size=80,
                                      num_attention_heads=4, num_key_value_heads=2)
    model = jiggle(transformers.LlamaForCausalLM(config))
    model.save_pretrained(tmp_path / "model")
    random = np.random.default_rng(seed)
    texts = [random.integers(0, 199, n).tolist() for n in (2, 129, 300, 17)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"ids": ids}) + "\n" for ids in texts))
    for window in (128, 50):
        losses = []
        for ids in texts:
            for begin in range(0, len(ids) - 1, window):
                piece = torch.tensor(ids[begin:begin + window + 1])
                with torch.no_grad():
                    logits = model(piece[None, :-1]).logits[0].double()
                losses.append(torch.nn.functional.cross_entropy(logits, piece[1:], reduction="none"))
        expected = torch.cat(losses)
        got = json.loads(martlet("eval", "loss", tmp_path / "model", tmp_path / "texts.jsonl", "--seq", window, "--json"))
        assert got["tokens"] == len(expected) == sum(len(ids) - 1 for ids in texts)
        assert got["loss"] == pytest.approx(expected.mean().item(), rel=1e-6)
        assert got["perplexity"] == pytest.approx(np.exp(expected.mean().item()), rel=1e-5)


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "swallow", "never", "land", "##s", "##ing", "a", "b", "##c", ".", "天"]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embeddings_agree_with_bert(seed, pooling, tmp_path):
    torch.manual_seed(seed)
    config = transformers.BertConfig(vocab_size=len(WORDS), hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=80,
                                     max_position_embeddings=64)
    model = jiggle(transformers.BertModel(config))
    directory = tmp_path / "bert"
    model.save_pretrained(directory)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(WORDS[:5])
    tokenizer.save(str(directory / "tokenizer.json"))

    texts = ["The swallow never lands.", "a", "landing abc 天 swallow", "", "never " * 30]
    lines = "".join(json.dumps({"prompt": text}) + "\n" for text in texts)
    for normalize in (False, True):
        options = ["--pooling", pooling, "--batch", 3] + ["--normalize"] * normalize
        martlet("embed", directory, "--prompts", "-", "-o", tmp_path / "e.npy", *options, text=lines)
        got = np.load(tmp_path / "e.npy")
        rows = [json.loads(line)["embedding"] for line in martlet("embed", directory, "--prompts", "-", "--json", *options, text=lines).splitlines()]
        assert np.array_equal(np.array(rows, np.float32), got)
        for text, row in zip(texts, got):
            with torch.no_grad():
                hidden = model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]
            expected = hidden.mean(0) if pooling == "mean" else hidden[0]
            if normalize:
                expected = torch.nn.functional.normalize(expected, dim=0)
            assert np.abs(row - expected.numpy()).max() <= 2e-5 * expected.abs().max().item(), text
