#!/usr/bin/env python3
"""Quality of quantised files beside llama.cpp's, for the same mixture, the same importance and the same f32 weights.

    bench/quantising.py MODEL.gguf .. [--to q4_0,q4_k_m,q8_0] [--windows 0] [--no-importance]

Needs llama-cpp-python and a built program ($MARTLET, else build/release/martlet). Each model is dequantised to f32; both quantisers make
files of it, ours and llama.cpp's, with the importance that ours took from one half of the prose in Python's own help (pydoc_data.topics);
`martlet perplexity` measures both files against the f32 model on the other half: perplexity, mean KL to the f32 model, same likeliest token;
and ours against llama.cpp's token by token: how much less it loses, in standard errors of that difference. Prints a table in markdown, and
ends with 1 where llama.cpp's perplexity is lower by more than two of these errors or its KL is lower.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import pydoc_data.topics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("MARTLET", str(ROOT / "build/release/martlet"))
FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q8_0": 7, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "iq4_nl": 25}


def halves() -> tuple[str, str]:
    topics = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    return "\n\n".join(topics[::2]), "\n\n".join(topics[1::2])


def importance_of(path: pathlib.Path) -> dict:
    import gguf
    found = {t.name: t.data for t in gguf.GGUFReader(path).tensors}
    return {name.removesuffix(".in_sum2"): data.reshape(-1) / found[name.removesuffix(".in_sum2") + ".counts"].reshape(-1)
            for name, data in found.items() if name.endswith(".in_sum2")}


def peer():
    spec = importlib.util.spec_from_file_location("llama_peer", ROOT / "tests/oracle/llama_peer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*words) -> str:
    return subprocess.run([PROGRAM, *map(str, words)], check=True, capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--to", default="q4_0,q4_k_m,q5_k_m,q6_k,q8_0")
    parser.add_argument("--windows", type=int, default=0, help="of 512 tokens; 0: all of the text")
    parser.add_argument("--no-importance", action="store_true")
    options = parser.parse_args()
    llama_peer = peer()
    learnt, checked = halves()
    print("| model | mixture | bits | perplexity f32 | ours | llama.cpp | loss less than llama.cpp's | mean KL ours | llama.cpp | same token ours | llama.cpp |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    worse = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        folder = pathlib.Path(folder)
        (folder / "learnt.txt").write_text(learnt[:200_000])
        (folder / "checked.txt").write_text(checked)
        for model in options.models:
            run("convert", model, "-o", folder / "f32.gguf", "--dtype", "f32")
            importance, more = None, []
            if not options.no_importance:
                run("quantize", folder / "f32.gguf", "--to", "q8_0", "--imatrix", folder / "learnt.txt", "--save-imatrix", folder / "importance.gguf",
                    "-o", folder / "ours.gguf")
                importance, more = importance_of(folder / "importance.gguf"), ["--imatrix", folder / "importance.gguf"]
            for to in options.to.split(","):
                bits = json.loads(run("quantize", folder / "f32.gguf", "--to", to, "-o", folder / "ours.gguf", "--json", *more))["bits_after"]
                llama_peer.quantise(folder / "f32.gguf", folder / "theirs.gguf", FILE_TYPES[to], importance)
                assert (folder / "ours.gguf").stat().st_size <= (folder / "theirs.gguf").stat().st_size + 4096
                rows = [json.loads(run("perplexity", folder / first, folder / "checked.txt", "--against", folder / other, "--windows", options.windows, "--json"))
                        for first, other in (("f32.gguf", "ours.gguf"), ("f32.gguf", "theirs.gguf"), ("ours.gguf", "theirs.gguf"))]
                perplexities = [row["other"]["perplexity"] for row in rows]
                less, error = rows[2]["more_loss"], rows[2]["more_loss_error"]
                # Both find the numbers of the f32 model again where KL is next to nothing: a few blocks more or less are nobody's fault.
                worse += less < -2 * error or rows[0]["kl"] > max(rows[1]["kl"], 1e-5)
                print(f"| {pathlib.Path(model).stem} | {to} | {bits:.2f} | {rows[0]['perplexity']:.4f} | {perplexities[0]:.4f} | {perplexities[1]:.4f} | {less:+.5f} +- {error:.5f} "
                      f"| {rows[0]['kl']:.6f} | {rows[1]['kl']:.6f} | {100 * rows[0]['same_top']:.2f} % | {100 * rows[1]['same_top']:.2f} % |", flush=True)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
