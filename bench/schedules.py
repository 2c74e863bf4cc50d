#!/usr/bin/env python3
"""Greedy replies of a real model in drawn schedules: the ids must be those of each prompt run alone, bit for bit.

    bench/schedules.py MODEL.gguf [--schedules 1000] [--seed 1] [--draft OTHER.gguf]

A schedule draws which prompts run, in what order and how many together, threads, how many tokens, the format of keys and values,
guesses ahead (off, n-grams, early layers, a draft model: the model itself in q4_0 unless given), a cache of prompts that fills as
schedules go, rearranged weights (made anew, kept, or none kept), and memory below the model's size, so that blocks stream from disk.
In some, a file of a cache is cut or has a bit flipped before. What each prompt gives alone, on one thread with nothing kept, is the
truth for its format of keys and values. Needs a built program ($MARTLET, else build/release/martlet). Ends with 1 at a difference,
and prints the command that shows it.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("MARTLET") or str(pathlib.Path(__file__).resolve().parents[1] / "build/release/martlet")
MOST_TOKENS = 24
CACHES = ("f32", "f16", "q8", "q4")
OPENINGS = ["The capital of France is", "List five colours and, for each, something that has it:", "Once upon a time a martlet that never lands",
            "Why is the sky blue? Answer in one sentence.", "12 times 9 is", "Translate to Spanish: good morning, my friend."]
CODE = "def area(width, height):\n    return width * height\n\ndef volume(width, height, depth):\n    return width * height * depth\n\n"
SHARED = "You are a patient teacher who answers in short sentences, with one example each, and never guesses. "


def prompts() -> list[str]:
    """Openings alone, behind a shared beginning, and texts that repeat themselves."""
    repeating = [CODE + "# The same with names in capitals:\ndef AREA(WIDTH,", CODE * 2 + "def area(width,", "one two three four " * 8 + "one two"]
    return OPENINGS + [SHARED * 3 + opening for opening in OPENINGS] + repeating


def run(words, check=True) -> subprocess.CompletedProcess:
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    if check and done.returncode:
        sys.exit(f"{shlex.join([PROGRAM, *map(str, words)])}: {done.stderr.strip()}")
    return done


def replies(folder: pathlib.Path, model, asked: list[str], words) -> list[dict]:
    (folder / "asked.jsonl").write_text("".join(json.dumps({"prompt": each}) + "\n" for each in asked))
    out = run(["run", model, "--prompts", folder / "asked.jsonl", "--temp", 0, "--ignore-eos", "--json", *words]).stdout
    return [json.loads(line) for line in out.splitlines()]


def truth(folder: pathlib.Path, model) -> dict:
    """Ids by format and prompt: each prompt alone, one thread, nothing kept from before."""
    words = ["-n", MOST_TOKENS, "--batch", 1, "--threads", 1, "--weight-cache", "off"]
    return {cache: {each: replies(folder, model, [each], [*words, "--kv-cache", cache])[0]["ids"] for each in prompts()} for cache in CACHES}


def least_memory(model) -> int:
    done = run(["explain", "run", model, "--memory", "1M", "--prompt-tokens", 400, "-n", MOST_TOKENS, "--batch", 8, "--loss", 0, "--json"], check=False)
    return json.loads(done.stdout)["memory"]["least_bytes"]


def damage(draw: random.Random, folder: pathlib.Path) -> bool:
    files = [path for path in folder.rglob("*") if path.is_file()]
    if not files:
        return False
    path = draw.choice(files)
    size = path.stat().st_size
    if draw.random() < 0.3:
        os.truncate(path, draw.randrange(size))
        return True
    with open(path, "r+b") as file:
        at = draw.randrange(size)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << draw.randrange(8)]))
    return True


class Schedule:
    """What one call is asked to do, and how."""

    def __init__(self, draw: random.Random, texts: list[str], folder: pathlib.Path, draft, least: int, size: int):
        self.asked = [draw.choice(texts) for _ in range(draw.randint(1, 8))]
        self.tokens, self.cache = draw.randint(1, MOST_TOKENS), draw.choice(CACHES)
        self.seen = collections.Counter({f"--kv-cache {self.cache}": 1})
        self.words = ["-n", self.tokens, "--kv-cache", self.cache, "--batch", draw.randint(1, 8), "--threads", draw.randint(1, 3), "--loss", 0]
        guesser = draw.choice(["off", "ngram", "early", f"early:{draw.randint(1, 6)}", draft])
        self.note("--speculate", guesser, "a draft model" if guesser == draft else guesser.split(":")[0])
        self.words += ["--draft", draw.randint(1, 9)] if guesser != "off" else []
        self.note("--prompt-cache", draw.choice(["off", folder / "prompts"]))
        # Below what the model would take whole; packed weights stream from the file that is kept of them.
        self.streams = draw.random() < 0.3
        weights = draw.choice([folder / "weights", folder / "weights", folder / f"new-{draw.randrange(1 << 30)}", "off"][:3 if self.streams else 4])
        self.note("--weight-cache", weights, "made anew" if "new-" in str(weights) else None)
        if self.streams:
            least += os.path.getsize(draft) * 3 // 2 if guesser == draft else 0  # beside what explain reckons
            self.note("--memory", draw.randint(least, least + size // 2), "less than the model")
        # Damage met while streaming ends the call with an error that names the file; elsewhere files are made again.
        self.damages = not self.streams and weights == folder / "weights" and draw.random() < 0.2

    def note(self, flag: str, value, name=None):
        self.words += [flag, value]
        self.seen[f"{flag} {name or ('kept' if isinstance(value, pathlib.Path) else value)}"] = 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draft", help="a smaller model of the same vocabulary")
    options = parser.parse_args()
    seen, guesses = collections.Counter(), collections.Counter()
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        draft = options.draft or folder / "draft.gguf"
        if not options.draft:
            run(["quantize", options.model, "--to", "q4_0", "-o", draft])
        wanted, least, size = truth(folder, options.model), least_memory(options.model), os.path.getsize(options.model)
        print(f"{len(wanted['f16'])} prompts; formats differ in {sum(wanted['f32'][each] != wanted['q4'][each] for each in prompts())} of them", flush=True)
        for number in range(options.schedules):
            draw = random.Random(f"{options.seed} {number}")
            schedule = Schedule(draw, prompts(), folder, draft, least, size)
            if schedule.damages and damage(draw, folder / draw.choice(["prompts", "weights"])):
                seen["a damaged file"] += 1
            rows = replies(folder, options.model, schedule.asked, schedule.words)
            seen += schedule.seen
            for made_anew in folder.glob("new-*"):
                shutil.rmtree(made_anew)
            for each, row in zip(schedule.asked, rows, strict=True):
                guesses += collections.Counter(drafted=row.get("drafted", 0), accepted=row.get("accepted", 0), tokens=len(row["ids"]))
                if row["ids"] != wanted[schedule.cache][each][:schedule.tokens]:
                    print(f"schedule {number} differs: {shlex.join(map(str, schedule.words))}\n  prompt {each!r}\n  got    {row['ids']}\n"
                          f"  wanted {wanted[schedule.cache][each][:schedule.tokens]}")
                    return 1
            if (number + 1) % 100 == 0:
                print(f"{number + 1} schedules, {guesses['tokens']} tokens, {time.time() - start:.0f} s: all the same", flush=True)
    for name, count in sorted(seen.items()):
        print(f"  {count:5} with {name}")
    print(f"{options.schedules} schedules, {guesses['tokens']} tokens, of {guesses['drafted']} guesses {guesses['accepted']} held; every reply the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
