"""Learning from scratch on the machine's own English text, beside PyTorch: the same first weights, rows, order and
recipe; the held-out losses of both, measured by the same code (transformers, f32).

    PYTHON bench/compare_learning.py [--seconds 180] [--dtype bf16|f32] [--seed 1] [--shape 256x6] [--vocab 4096]

Martlet trains for about `--seconds`; PyTorch then takes as many steps, however long they last. Exit 1 when Martlet's
held-out loss is more than 1.01 times PyTorch's. Python needs torch and transformers.
"""
import argparse, gzip, hashlib, json, math, os, pathlib, random, subprocess, sys, tempfile, time
import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[1]
MARTLET = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")
FOLDERS = ("/usr/share/common-licenses", "/usr/share/doc", "/usr/share/perl")
SEQ, BATCH, THREADS = 256, 8, 2


def documents(limit: int):
    """Texts of the machine, each once, in an order of their hashes; the first twentieth is held out."""
    found = {}
    size = 0
    for folder in FOLDERS:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if size > limit or path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 20:
                continue
            if path.suffix not in ("", ".txt", ".md", ".rst", ".gz", ".pm", ".pl", ".pod"):
                continue
            try:
                raw = path.read_bytes()
                text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
            except (UnicodeDecodeError, OSError, EOFError):
                continue
            if len(text) > 500:
                found.setdefault(hashlib.sha256(text.encode()).hexdigest(), text)
                size += len(text)
    texts = [found[key] for key in sorted(found)]
    held = max(1, len(texts) // 20)
    return texts[held:], texts[:held]


def rows_of(texts, tokenizer) -> np.ndarray:
    lines = "\n".join(json.dumps(text) for text in texts)
    out = subprocess.run([MARTLET, "tokenize", tokenizer, "--json"], input=lines, capture_output=True, text=True, check=True).stdout
    ids = [token for line in out.splitlines() for token in json.loads(line)]
    rows = len(ids) // (SEQ + 1)
    return np.array(ids[: rows * (SEQ + 1)], dtype=np.int64).reshape(rows, SEQ + 1)


def martlet_train(init, rows, steps, dtype, peak, warmup, out) -> float:
    data = str(out) + ".jsonl"
    with open(data, "w") as file:
        for row in rows[: steps * BATCH]:
            file.write(json.dumps({"ids": row.tolist()}) + "\n")
    start = time.perf_counter()
    subprocess.run([MARTLET, "train", "--init", init, "--data", data, "--order", "sequential", "--pack", "none", "--seq", str(SEQ),
                    "--batch", str(BATCH), "--steps", str(steps), "--dtype", dtype, "--threads", str(THREADS), "--learning-rate", str(peak),
                    "--schedule", "cosine", "--final-rate", "0.1", "--warmup", str(warmup), "--weight-decay", "0.1", "--beta1", "0.9",
                    "--beta2", "0.95", "--eps", "1e-8", "--clip", "1", "--checkpoint-every", "0", "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def rate(step, steps, peak, warmup):
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def torch_train(init, rows, steps, dtype, peak, warmup):
    model = AutoModelForCausalLM.from_pretrained(init, dtype=torch.float32)
    model.train()
    decay = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([dict(params=decay, weight_decay=0.1), dict(params=rest, weight_decay=0.0)], lr=peak, betas=(0.9, 0.95), eps=1e-8, fused=True)
    start = time.perf_counter()
    for step in range(steps):
        x = torch.from_numpy(rows[step * BATCH : (step + 1) * BATCH])
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak, warmup)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            logits = model(x[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), x[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model, time.perf_counter() - start


@torch.no_grad()
def held_out_loss(model, rows) -> float:
    model.eval()
    total = 0.0
    for begin in range(0, len(rows), BATCH):
        x = torch.from_numpy(rows[begin : begin + BATCH])
        logits = model(x[:, :-1], use_cache=False).logits
        total += torch.nn.functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), reduction="sum").item()
    return total / (len(rows) * SEQ)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", default="256x6", help="hidden size x layers")
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        training, held = documents(40 << 20)
        (folder / "text.txt").write_text("\n".join(training))
        tokenizer = str(folder / "tokenizer")
        subprocess.run([MARTLET, "tokenizer", "train", "--data", str(folder / "text.txt"), "--vocab", str(asked.vocab), "-o", tokenizer], check=True, stdout=subprocess.DEVNULL)
        rows, held_rows = rows_of(training, tokenizer), rows_of(held, tokenizer)
        np.random.default_rng(asked.seed).shuffle(rows)
        held_rows = held_rows[:: max(1, len(held_rows) // 512)]
        hidden, layers = (int(n) for n in asked.shape.split("x"))
        torch.manual_seed(asked.seed)
        config = LlamaConfig(hidden_size=hidden, intermediate_size=(hidden * 8 // 3 + 31) // 32 * 32, num_hidden_layers=layers,
                             num_attention_heads=hidden // 64, num_key_value_heads=hidden // 64, vocab_size=asked.vocab, max_position_embeddings=SEQ)
        init = str(folder / "init")
        LlamaForCausalLM(config).save_pretrained(init)
        trial = 30
        slow = martlet_train(init, rows, trial, asked.dtype, asked.learning_rate, 5, folder / "trial")
        steps = int(min(len(rows) // BATCH, trial * asked.seconds / slow))
        warmup = max(10, steps // 20)
        ours_seconds = martlet_train(init, rows, steps, asked.dtype, asked.learning_rate, warmup, folder / "ours")
        ours = held_out_loss(AutoModelForCausalLM.from_pretrained(folder / "ours", dtype=torch.float32), held_rows)
        theirs_model, theirs_seconds = torch_train(init, rows, steps, asked.dtype, asked.learning_rate, warmup)
        theirs = held_out_loss(theirs_model, held_rows)
        print(f"{steps} steps of {BATCH * SEQ} tokens in {asked.dtype}: held-out loss {ours:.4f} after {ours_seconds:.0f} s, "
              f"PyTorch's {theirs:.4f} after {theirs_seconds:.0f} s, ratio {ours / theirs:.4f} (at most 1.01)")
        return 0 if ours <= 1.01 * theirs else 1


if __name__ == "__main__":
    sys.exit(main())
