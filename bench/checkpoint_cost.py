#!/usr/bin/env python3
"""What a checkpoint costs training: runs of equal steps in turns, with none between and with several, by wall time.

    bench/checkpoint_cost.py --model 124m --seq 256 --batch 4 --steps 24 --every 8 --turns 2

Prints seconds of training's time a checkpoint and its share at one a minute."""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(words, folder, every):
    start = time.perf_counter()
    subprocess.run([*words, "--out", folder, "--checkpoint-every", str(every), "--keep", "1000", "--metrics", f"{folder}.jsonl"], check=True,
                   capture_output=True)
    wall = time.perf_counter() - start
    rates = [json.loads(row)["tokens_per_s"] for row in open(f"{folder}.jsonl")]
    checkpoints = list(pathlib.Path(folder, "checkpoints").iterdir())
    size = sum(file.stat().st_size for file in checkpoints[0].iterdir())
    return wall, len(checkpoints) - 1, size, statistics.median(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/martlet"))
    parser.add_argument("--model", default="124m")
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--every", type=float, default=8)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--folder", default=None, help="where to write; a temporary folder unless given")
    options = parser.parse_args()
    draws = random.Random(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        data = pathlib.Path(folder, "ids.jsonl")
        data.write_text("".join(json.dumps({"ids": [draws.randrange(options.vocabulary) for _ in range(options.seq + 1)]}) + "\n"
                                for _ in range(64)))
        tokens = str(pathlib.Path(folder, "tokens"))
        subprocess.run([options.program, "data", "tokens", "--data", str(data), "--vocabulary", str(options.vocabulary), "-o", tokens], check=True,
                       capture_output=True)
        words = [options.program, "train", "--no-log", "--model", options.model, "--data", tokens, "--seq", str(options.seq), "--batch", str(options.batch),
                 "--steps", str(options.steps)]
        costs = []
        for turn in range(options.turns):
            without, _, _, rate = run(words, f"{folder}/without{turn}", 0)
            wall, count, size, _ = run(words, f"{folder}/with{turn}", options.every)
            if count == 0:
                raise SystemExit("no checkpoint was written between; give more steps or a smaller --every")
            costs.append((wall - without) / count)
            print(f"{without:.2f} s without, {wall:.2f} s with {count} more of {size / 2**20:.0f} MiB: {costs[-1]:.3f} s each; {rate:.0f} tokens/s",
                  flush=True)
        cost = statistics.median(costs)
        print(f"a checkpoint takes {cost:.3f} s of training's time: {100 * cost / 60:.2f} % at one a minute")


main()
