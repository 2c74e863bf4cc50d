"""Training of byte-pair tokenizers against the `tokenizers` library: the same vocabulary and merges, and files that it reads.

Texts are drawn from $SEED (1). Runs of one character make several pairs give the same token, which is where the order of merges is delicate.
"""
import json, os, pathlib, random, subprocess

import pytest

tokenizers = pytest.importorskip("tokenizers")
from tokenizers import Regex, Tokenizer, models, pre_tokenizers as P, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")
SEED = int(os.environ.get("SEED", "1"))
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def corpus(seed: int, lines: int) -> str:
    rng = random.Random(seed * 31 + 5)
    syllables = [a + b for a in "bcdfghklmnprst" for b in "aeiou"] + ["é", "中", "文", "的", "是", "不", "一", "了", "👍"]
    words = ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 4))) for _ in range(400)]
    weights = [1 / (i + 1) for i in range(len(words))]
    out = []
    for _ in range(lines):
        parts = []
        for word in rng.choices(words, weights, k=rng.randint(1, 14)):
            roll = rng.random()
            parts.append(word if roll < 0.8 else word.capitalize() + "'s" if roll < 0.85 else str(rng.randint(0, 99999)) if roll < 0.9 else rng.choice("-=_ .a") * rng.randint(1, 40))
        out.append(rng.choice(["", "", "    ", "\t"]) + " ".join(parts) + rng.choice([".", "。", "", "!\r"]))
    return "\n".join(out) + rng.choice(["", "\n"])


def library(kind: str, path: str, size: int, least: int) -> Tokenizer:
    special = ["<unk>", "<s>"]
    options = dict(vocab_size=size, min_frequency=least, show_progress=False)
    if kind == "sp-bpe":
        t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        t.pre_tokenizer = P.Metaspace()
        special += [f"<0x{i:02X}>" for i in range(256)]
    else:
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = P.ByteLevel(add_prefix_space=False)
        if kind == "llama3":
            t.pre_tokenizer = P.Sequence([P.Split(Regex(SPLIT), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
        options["initial_alphabet"] = P.ByteLevel.alphabet()
    t.train([path], trainers.BpeTrainer(special_tokens=special, **options))
    return t


@pytest.mark.parametrize("kind", ["gpt2", "llama3", "sp-bpe"])
@pytest.mark.parametrize("round", range(4))
def test_vocabulary_and_merges(kind, round, tmp_path):
    seed = SEED * 10 + round
    rng = random.Random(seed)
    text = tmp_path / "text.txt"
    text.write_text(corpus(seed, 1500), newline="")
    size, least = rng.choice([500, 900, 3000]), rng.choice([1, 2, 5])
    command = ["--kind", "sp-bpe"] if kind == "sp-bpe" else ["--kind", "byte-bpe", "--split", kind]
    subprocess.run([PROGRAM, "tokenizer", "train", "--data", text, "--vocab", str(size), "--least", str(least), "--special", "<unk>", "--special", "<s>",
                    "-o", tmp_path / "out", *command], check=True, timeout=120)
    theirs = library(kind, str(text), size, least)
    ours = Tokenizer.from_file(str(tmp_path / "out/tokenizer.json"))
    a, b = json.loads(ours.to_str())["model"], json.loads(theirs.to_str())["model"]
    assert a["vocab"] == b["vocab"]
    first = next((i for i, (x, y) in enumerate(zip(a["merges"], b["merges"])) if x != y), None)
    assert a["merges"] == b["merges"], f"merge {first} of {len(b['merges'])}: {a['merges'][first or 0]}, the library has {b['merges'][first or 0]}"
    lines = corpus(seed + 1, 50).split("\n")
    r = subprocess.run([PROGRAM, "tokenize", tmp_path / "out", "--json"], input="".join(json.dumps(line) + "\n" for line in lines).encode(),
                       capture_output=True, check=True)
    assert [json.loads(line) for line in r.stdout.splitlines()] == [ours.encode(line).ids for line in lines]
