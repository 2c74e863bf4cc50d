#!/usr/bin/env python3
"""Decoding of the same model in smaller formats, in turns: what reading fewer bytes gains, beside how many fewer they are.

    bench/reading_less.py FILE .. [--turns 5] [--tokens 32]

The first FILE is what the others are compared with. For each: the bytes that a token reads (weights of products, without the cache), tokens a second, the limit that memory sets for it (bandwidth over
bytes, both as `martlet bench` measures them in that turn) and the share of it, the speed over that of the first, the bytes of the first over its own, and the speed over the limit of the first.
Medians of the turns. Needs a built program ($MARTLET, else build/release/martlet).
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")


def bench(model: str, tokens: int, *words: str) -> dict:
    """tokens_per_s; limit in tokens a second; bytes of a token."""
    out = subprocess.run([PROGRAM, "bench", model, "--prefill", "1", "--decode", str(tokens), "--runs", "3", "--json", *words], capture_output=True, text=True, check=True).stdout
    row = json.loads(out)
    decode = row["decode"][0]
    limit = decode["tokens_per_s"] / decode["share_of_limit"]
    return {"speed": decode["tokens_per_s"], "limit": limit, "bytes": row["machine"]["bandwidth"] / limit}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="FILE")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    turns = [[bench(model, options.tokens) for model in options.models] for _ in range(options.turns + 1)][1:]  # the first rearranges weights

    def median(of) -> float:
        return statistics.median(of(turn) for turn in turns)

    print("| file | MB a token | tokens/s | limit | share | speed over the first | bytes of the first over its own | speed over the first's limit |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for i, model in enumerate(options.models):
        print(f"| {pathlib.Path(model).stem} | {median(lambda t: t[i]['bytes']) / 1e6:.0f} | {median(lambda t: t[i]['speed']):.1f} | {median(lambda t: t[i]['limit']):.1f} "
              f"| {100 * median(lambda t: t[i]['speed'] / t[i]['limit']):.0f} % | {median(lambda t: t[i]['speed'] / t[0]['speed']):.2f} "
              f"| {median(lambda t: t[0]['bytes'] / t[i]['bytes']):.2f} | {median(lambda t: t[i]['speed'] / t[0]['limit']):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
