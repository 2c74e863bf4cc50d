#!/usr/bin/env python3
"""`--rewrite sparse_activation` beside none, in turns, on random models with a ReLU of which a chosen part of the neurons fires.

    PYTHON bench/sparse_activation.py [--fires 0.05 0.1 0.2 0.4] [--turns 5] [--tokens 24]

A llama directory in bf16 of the shape of TinyLlama 1.1B (hidden 2048, 22 layers, 5632 neurons) is drawn into a temporary folder (2.2 GB). Biases of what
stands before the activation put the wanted part of it above zero. For each part a row in markdown: neurons read (as `run` reports them), tokens a second without and with, the ratio, the limit of memory
for the whole model (bandwidth over all bytes, as `martlet bench` measures it) and both speeds over it, the part of all bytes that a token still reads, and the mean KL divergence of next tokens
over 64 positions, which only the order of sums makes. Python needs numpy. Needs a built program ($MARTLET, else build/release/martlet).
"""
import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")
HIDDEN, LAYERS, NEURONS, HEADS, KEY_VALUE_HEADS, VOCABULARY = 2048, 22, 5632, 32, 4, 32000
SPREAD = 0.02
SPARSE = ["--rewrite", "sparse_activation"]


def bf16(values: np.ndarray) -> bytes:
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


class Directory:
    """Every block has the same weights, which take as long to read as others; what follows the biases can be set anew."""

    def __init__(self, folder: pathlib.Path):
        self.path = folder / "model.safetensors"
        random = np.random.default_rng(1)
        width = HIDDEN // HEADS * KEY_VALUE_HEADS

        def drawn(rows: int, columns: int) -> bytes:
            return bf16(random.standard_normal((rows, columns), dtype=np.float32) * SPREAD)

        shapes = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (width, HIDDEN), "self_attn.v_proj": (width, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
                  "mlp.gate_proj": (NEURONS, HIDDEN), "mlp.up_proj": (NEURONS, HIDDEN), "mlp.down_proj": (HIDDEN, NEURONS)}
        block = {name: drawn(*shape) for name, shape in shapes.items()}
        ones, zeros = bf16(np.ones(HIDDEN)), bf16(np.zeros(NEURONS))
        parts = [(name, (VOCABULARY, HIDDEN), drawn(VOCABULARY, HIDDEN)) for name in ("model.embed_tokens.weight", "lm_head.weight")] + [("model.norm.weight", (HIDDEN,), ones)]
        for layer in range(LAYERS):
            at = f"model.layers.{layer}."
            parts += [(f"{at}{name}.weight", shape, block[name]) for name, shape in shapes.items()]
            parts += [(f"{at}{name}.weight", (HIDDEN,), ones) for name in ("input_layernorm", "post_attention_layernorm")]
            parts += [(f"{at}mlp.{name}.bias", (size,), zeros[:2 * size]) for name, size in (("gate_proj", NEURONS), ("up_proj", NEURONS), ("down_proj", HIDDEN))]
        self.bytes = sum(len(data) for name, _, data in parts if len(data) > 1 << 20 and "embed" not in name)
        self.saved_by_zeros = LAYERS * (len(block["mlp.up_proj"]) + len(block["mlp.down_proj"])) / self.bytes
        table, offset, self.biases = {}, 0, []
        for name, shape, data in parts:
            table[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + len(data)]}
            if name.endswith("gate_proj.bias"):
                self.biases.append(offset)
            offset += len(data)
        text = json.dumps(table).encode()
        text += b" " * (-len(text) % 8)
        self.start = 8 + len(text)
        with open(self.path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, _, data in parts:
                file.write(data)
        (folder / "config.json").write_text(json.dumps({
            "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": NEURONS, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KEY_VALUE_HEADS,
            "vocab_size": VOCABULARY, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "relu", "mlp_bias": True, "tie_word_embeddings": False}))

    def let_fire(self, part: float):
        """A gate's sum is normal with a spread of SPREAD times the root of HIDDEN, as its inputs have a mean square of 1."""
        shift = statistics.NormalDist().inv_cdf(part) * SPREAD * HIDDEN**0.5
        with open(self.path, "r+b") as file:
            for offset in self.biases:
                file.seek(self.start + offset)
                file.write(bf16(np.full(NEURONS, shift)))


def called(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=True)


def decoding(model: str, tokens: int, words) -> tuple[float, float]:
    """Tokens a second, and what the limit of all bytes is."""
    row = json.loads(called("bench", model, "--prefill", "1", "--decode", str(tokens), "--runs", "3", "--json", *words).stdout)["decode"][0]
    return row["tokens_per_s"], row["tokens_per_s"] / row["share_of_limit"]


def neurons_read(model: str, folder: pathlib.Path) -> float:
    (folder / "p.jsonl").write_text('{"ids": [1, 5, 9]}\n')
    told = called("run", model, "--prompts", str(folder / "p.jsonl"), "-n", "16", "--temp", "1", "--ignore-eos", "--json", *SPARSE).stderr
    return statistics.mean(float(line.split()[-1]) for line in told.splitlines() if line.startswith("layers."))


def divergence(model: str, folder: pathlib.Path) -> float:
    logs = []
    for words in ([], SPARSE):
        called("logits", model, "--ids", ",".join(str(7 * i % VOCABULARY) for i in range(1, 65)), "-o", str(folder / "l.npy"), *words)
        scores = np.load(folder / "l.npy").astype(np.float64)
        scores -= scores.max(1, keepdims=True)
        logs.append(scores - np.log(np.exp(scores).sum(1, keepdims=True)))
    return float((np.exp(logs[0]) * (logs[0] - logs[1])).sum(1).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fires", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.4])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=24)
    options = parser.parse_args()
    print("| neurons read | bytes read | limit of all bytes, tokens/s | without | with | ratio | with, over the limit | mean KL |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / "model"
        folder.mkdir()
        model = Directory(folder)
        for part in options.fires:
            model.let_fire(part)
            plain, sparse, limits = [], [], []
            for _ in range(options.turns):
                for speeds, words in ((plain, []), (sparse, SPARSE)):
                    speed, limit = decoding(str(folder), options.tokens, words)
                    speeds.append(speed), limits.append(limit)
            read, limit = neurons_read(str(folder), pathlib.Path(name)), statistics.median(limits)
            print(f"| {100 * read:.1f} % | {100 * (1 - model.saved_by_zeros * (1 - read)):.0f} % | {limit:.1f} | {statistics.median(plain):.1f} | {statistics.median(sparse):.1f} "
                  f"| {statistics.median(b / a for a, b in zip(plain, sparse)):.2f} | {statistics.median(sparse) / limit:.2f} | {divergence(str(folder), pathlib.Path(name)):.1g} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
