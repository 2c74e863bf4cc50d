#!/usr/bin/env python3
"""Activation checkpointing on 24 layers: what `recompute` saves of the activations' peak, and what it costs in time.

Both are taken from `martlet explain train --analyze`: real steps, the allocator's high-water mark by owner, medians; plain and recomputed in turns.

    bench/recompute.py [--turns 3] [--hidden 512] [--layers 24] [--seq 256] [--batch 4]
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile

PROGRAM = os.environ.get("MARTLET", str(pathlib.Path(__file__).resolve().parents[1] / "build/release/martlet"))


def measured(words: list[str]) -> dict:
    out = subprocess.run([PROGRAM, "explain", "train", *words, "--analyze", "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("turns", 3), ("hidden", 512), ("layers", 24), ("seq", 256), ("batch", 4), ("vocab", 8192)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--pattern", default="layers.*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draws = random.Random(1)
        rows = pathlib.Path(folder) / "rows.jsonl"
        rows.write_text("".join(json.dumps({"ids": [draws.randrange(options.vocab) for _ in range(64)]}) + "\n" for _ in range(64)))
        tokens = pathlib.Path(folder) / "tokens"
        subprocess.run([PROGRAM, "data", "tokens", "--data", str(rows), "--vocabulary", str(options.vocab), "-o", str(tokens)], check=True, capture_output=True)
        words = ["--model", f"hidden={options.hidden},layers={options.layers},tied=true", "--data", str(tokens), "--seq", str(options.seq),
                 "--batch", str(options.batch), "--steps", "1", "--memory", "1T"]
        found = {"plain": [], "recompute": []}
        for _ in range(options.turns):
            found["plain"].append(measured(words))
            found["recompute"].append(measured(words + ["--rewrite", f"recompute pattern={options.pattern}"]))
    for name, runs in found.items():
        last = runs[-1]["measured"]
        seconds = statistics.median(run["measured"]["step_s"] for run in runs)
        print(f"{name:10} activations {last['activation_bytes'] / 2**20:8.1f} MiB, in all {last['total_bytes'] / 2**20:8.1f} MiB, "
              f"step {seconds:.3f} s; predicted {runs[-1]['predicted']['activation_bytes'] / 2**20:.1f} MiB")
    plain, again = found["plain"], found["recompute"]
    saved = 1 - again[-1]["measured"]["activation_bytes"] / plain[-1]["measured"]["activation_bytes"]
    ratio = statistics.median(b["measured"]["step_s"] / a["measured"]["step_s"] for a, b in zip(plain, again))
    print(f"activations {100 * saved:.1f} % lower, time {100 * (ratio - 1):.1f} % more")


if __name__ == "__main__":
    main()
