#!/usr/bin/env python3
"""Guesses ahead from the text so far (`--speculate ngram`) beside none, in turns: what they gain on text that repeats and cost elsewhere.

    bench/speculation.py MODEL .. [--turns 3] [--tokens 300] [--speculate ngram]

MODEL answers messages, or goes on with the text where it has no chat template. Tokens a second count the prompt's reading; greedy, and the ids must be the same. A table in
markdown: medians of the turns, the ratio of each turn's two runs. Needs a built program ($MARTLET, else build/release/martlet). Ends
with 1 where ids differ.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")
FUNCTIONS = "\n\n".join(f"def {name}(width, height):\n    total = width {sign} height\n    if total < 0:\n        raise ValueError('{name} is negative')\n"
                        f"    return total" for name, sign in (("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/"), ("power", "**")))
NAMES = "\n".join(f"{number}. {name}, {town}, member since {1990 + number}" for number, (name, town) in enumerate(
    zip("Alice Bernd Carla Dmitri Elena Farid Grace Hiro Ines Jakub Kofi Lena".split(), "Lyon Ulm Rome Riga Oslo Bonn Cork Nara Faro Brno Kumasi Kiel".split()), 1))
ASKED = {
    "code again, a name changed": f"Repeat this code exactly, with total renamed to result:\n\n{FUNCTIONS}",
    "a list again, a word changed": f"Repeat this list exactly, with member replaced by guest:\n\n{NAMES}",
    "code again and again": f"{FUNCTIONS}\n\n{FUNCTIONS}\n\nThe same once more:",
    "a story": "Tell me a story about a bird that never lands.",
    "an explanation": "Explain why the sky is blue to a child.",
    "a list": "List twelve uses of a paperclip.",
    "a letter": "Write a letter that thanks a neighbour for feeding the cat.",
}


def asked(model: str, text: str) -> dict:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        messages = [{"role": "user", "content": text}]
        json.dump({"messages": messages}, file)
        file.flush()
        has_template = subprocess.run([PROGRAM, "chat", model, "--render", file.name], capture_output=True).returncode == 0
    return {"messages": messages} if has_template else {"prompt": text}


def run(model: str, prompt: dict, tokens: int, words) -> tuple[list[int], float]:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write(json.dumps(prompt) + "\n")
        file.flush()
        out = subprocess.run([PROGRAM, "run", model, "--prompts", file.name, "-n", str(tokens), "--temp", "0", "--ignore-eos", "--json", *words],
                             capture_output=True, text=True, check=True).stdout
    row = json.loads(out)
    return row["ids"], row["tokens_per_s"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--speculate", default="ngram", help="another way, such as early:10")
    options = parser.parse_args()
    print(f"| model | text | off, tokens/s | {options.speculate} | ratio |\n| --- | --- | --- | --- | --- |")
    for model in options.models:
        run(model, asked(model, "Hello"), 1, [])  # weights are rearranged once
        for name, text in ASKED.items():
            prompt, plain, guessed, ratios = asked(model, text), [], [], []
            for _ in range(options.turns):
                ids, speed = run(model, prompt, options.tokens, [])
                same_ids, with_guesses = run(model, prompt, options.tokens, ["--speculate", options.speculate])
                if ids != same_ids:
                    print(f"{model}, {name}: the ids differ", file=sys.stderr)
                    return 1
                plain.append(speed), guessed.append(with_guesses), ratios.append(with_guesses / speed)
            print(f"| {pathlib.Path(model).stem} | {name} | {statistics.median(plain):.0f} | {statistics.median(guessed):.0f} "
                  f"| {statistics.median(ratios):.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
