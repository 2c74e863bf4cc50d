#!/usr/bin/env python3
"""Kills a training run with signal 9 at random instants, lets it go on each time, and compares its weights with an unbroken run's.

    bench/kill_and_resume.py --kills 20 --seconds 90

The run is as long as --seconds say, with a checkpoint every --every seconds; its weights must be equal to the last bit."""
import argparse
import hashlib
import json
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/martlet"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=90, help="about how long the unbroken run takes")
    parser.add_argument("--every", type=float, default=2, help="seconds between checkpoints")
    parser.add_argument("--model", default="hidden=128,layers=4,heads=4")
    parser.add_argument("--dtype", default="f32", choices=["f32", "bf16", "f16"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draws = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "ids.jsonl").write_text("".join(json.dumps({"ids": [draws.randrange(1000) for _ in range(draws.randrange(2, 200))]}) + "\n"
                                                  for _ in range(400)))
        subprocess.run([options.program, "data", "tokens", "--data", folder / "ids.jsonl", "--vocabulary", "1000", "-o", folder / "tokens"],
                       check=True, capture_output=True)

        def words(name, steps):
            return [options.program, "train", "--model", options.model, "--data", folder / "tokens", "--seq", "128", "--batch", "8", "--steps", str(steps),
                    "--dtype", options.dtype, "--ema", "0.99", "--out", folder / name, "--metrics", folder / f"{name}.jsonl"]

        def losses(name):
            return [(row["step"], row["loss"]) for row in map(json.loads, open(folder / f"{name}.jsonl"))]

        def weights(name):
            return hashlib.sha256((folder / name / "model.safetensors").read_bytes()).hexdigest()

        start = time.monotonic()
        subprocess.run(words("trial", 20), check=True, capture_output=True)
        steps = max(50, int(20 * options.seconds / (time.monotonic() - start)))
        start = time.monotonic()
        subprocess.run(words("whole", steps), check=True, capture_output=True)
        took = time.monotonic() - start
        print(f"unbroken: {steps} steps in {took:.1f} s", flush=True)
        again = [*words("killed", steps), "--resume", "--checkpoint-every", str(options.every)]
        killed = runs = 0
        while killed < options.kills:
            runs += 1
            for left in (folder / "killed", folder / "killed.jsonl"):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
            ended = False
            while not ended:
                child = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    # Short lives and long ones: some end while they read, some while they write a checkpoint.
                    child.wait(draws.uniform(0.05, 3 * took / options.kills) if killed < options.kills else None)
                    if child.returncode != 0:
                        raise SystemExit(f"a run that went on ended with {child.returncode}")
                    ended = True
                except subprocess.TimeoutExpired:
                    child.send_signal(signal.SIGKILL)
                    child.wait()
                    killed += 1
                    rows = folder / "killed.jsonl"
                    print(f"kill {killed}: after step {rows.read_bytes().count(10) if rows.exists() else 0}", flush=True)
            if weights("killed") != weights("whole") or losses("killed") != losses("whole"):
                raise SystemExit("the weights or losses differ from the unbroken run's")
        print(f"{options.dtype}: {killed} kills in {runs} runs; weights and {steps} losses are those of the unbroken run, to the bit")


main()
