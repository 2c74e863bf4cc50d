#!/usr/bin/env python3
"""Guesses ahead (`--speculate`) beside none, in turns: what they gain, and how near the limit of memory they bring a reply, or how far past it.

    bench/speculation.py MODEL .. [--turns 3] [--tokens 300] [--speculate ngram early:10 DRAFT.gguf] [--text "a story" ..] [--limits]

MODEL answers messages, or goes on with the text where it has no chat template. Tokens a second count the prompt's reading; greedy, and the ids must be the same. A table in
markdown: medians of the turns, the ratio of each turn's two runs, and the share of guesses that held. With --limits `martlet bench` tells in every turn what one token after another could come to at most,
bandwidth over the bytes of a token, and speeds are told as parts of that too. Needs a built program ($MARTLET, else build/release/martlet). Ends
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


def run(model: str, prompt: dict, tokens: int, words) -> dict:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write(json.dumps(prompt) + "\n")
        file.flush()
        return json.loads(subprocess.run([PROGRAM, "run", model, "--prompts", file.name, "-n", str(tokens), "--temp", "0", "--ignore-eos", "--json", *words],
                                         capture_output=True, text=True, check=True).stdout)


def limit_of(model: str) -> float:
    """Tokens a second, were nothing but the bytes of a token read, at the bandwidth of this moment."""
    row = json.loads(subprocess.run([PROGRAM, "bench", model, "--prefill", "1", "--decode", "24", "--runs", "1", "--json"], capture_output=True, text=True, check=True).stdout)
    return row["decode"][0]["tokens_per_s"] / row["decode"][0]["share_of_limit"]


class Way:
    """What one way of guessing gave, turn by turn."""

    def __init__(self, name: str):
        self.name, self.words = pathlib.Path(name).stem, ["--speculate", name]
        self.speeds, self.ratios, self.drafted, self.accepted = [], [], 0, 0

    def add(self, row: dict, plain: dict):
        self.speeds.append(row["tokens_per_s"])
        self.ratios.append(row["tokens_per_s"] / plain["tokens_per_s"])
        self.drafted += row.get("drafted", 0)
        self.accepted += row.get("accepted", 0)

    def held(self) -> str:
        return f"{100 * self.accepted / self.drafted:.0f} % of {self.drafted // len(self.speeds)}" if self.drafted else "none made"


def measure(model: str, name: str, options) -> bool:
    """Rows of one text; whether all ids are the same."""
    prompt, plain, limits, ways = asked(model, ASKED[name]), [], [], [Way(way) for way in options.speculate]

    def speed(all_turns: list[float]) -> str:
        median = statistics.median(all_turns)
        return f"{median:.0f}" + (f" ({100 * median / limit:.0f} %)" if limit else "")

    for _ in range(options.turns):
        limits.append(limit_of(model) if options.limits else 0)
        off = run(model, prompt, options.tokens, [])
        plain.append(off["tokens_per_s"])
        for way in ways:
            row = run(model, prompt, options.tokens, way.words)
            if row["ids"] != off["ids"]:
                print(f"{model}, {name}, {way.name}: the ids differ", file=sys.stderr)
                return False
            way.add(row, off)
    limit = statistics.median(limits)
    for way in ways:
        print(f"| {pathlib.Path(model).stem} | {name} | {f'{limit:.0f} | ' if limit else ''}{speed(plain)} | {way.name} | {speed(way.speeds)} "
              f"| {statistics.median(way.ratios):.2f} | {way.held()} |", flush=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--speculate", nargs="+", default=["ngram"], metavar="WAY", help="ways to guess: ngram, early:N, a smaller model")
    parser.add_argument("--text", nargs="+", choices=ASKED, default=list(ASKED), metavar="NAME", help="these texts alone")
    parser.add_argument("--limits", action="store_true", help="speeds also as parts of the limit that memory sets")
    options = parser.parse_args()
    heads = ["model", "text", *(["limit, tokens/s"] if options.limits else []), "off, tokens/s", "guesses of", "tokens/s", "ratio", "held"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for model in options.models:
        run(model, asked(model, "Hello"), 1, [])  # weights are rearranged once
        if not all(measure(model, name, options) for name in options.text):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
