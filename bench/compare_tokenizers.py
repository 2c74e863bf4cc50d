"""Tokenizers, in one thread, in turns with the `tokenizers` library on the same English text.

    build/venv/bin/python bench/compare_tokenizers.py [--turns 5] [--model FILE.gguf] [--json]

Five kinds are trained on that text by the library itself (as the acceptance tests train them, with 8,000 tokens);
--model adds a real byte-level tokenizer from a GGUF file. The text is what /usr/share/doc and common-licenses hold in
plain files, cut at empty lines. `bench_tokenizers` is built by -DMARTLET_BENCH=ON. The table gives medians of turns.
"""
import os
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import argparse, gzip, json, pathlib, random, statistics, subprocess, sys, tempfile, time
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("BENCH_TOKENIZERS") or str(ROOT / "build/release/bench/bench_tokenizers")
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KINDS = ("byte-bpe", "byte-bpe-split", "sp-bpe", "unigram", "wordpiece")


def prose(limit: int) -> list[str]:
    """Paragraphs of the machine's own documentation, in one fixed order, `limit` bytes in all."""
    paragraphs, seen = [], set()
    for folder in ("/usr/share/common-licenses", "/usr/share/doc"):
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if not path.is_file() or path.suffix not in ("", ".txt", ".md", ".gz", ".rst"):
                continue
            raw = path.read_bytes()
            try:
                text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
            except (UnicodeDecodeError, OSError, EOFError):
                continue
            for paragraph in text.split("\n\n"):
                if 200 < len(paragraph) < 20000 and paragraph not in seen:
                    seen.add(paragraph)
                    paragraphs.append(paragraph)
    random.Random(1).shuffle(paragraphs)
    taken, size = [], 0
    for paragraph in paragraphs:
        size += len(paragraph.encode())
        taken.append(paragraph)
        if size >= limit:
            break
    return taken


def build(kind: str, texts: list[str]) -> Tokenizer:
    special = ["<unk>", "<s>", "</s>", "[CLS]", "[SEP]", "[PAD]", "[UNK]"]
    options = dict(vocab_size=8000, show_progress=False)
    if kind in ("byte-bpe", "byte-bpe-split"):
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        if kind == "byte-bpe-split":
            t.normalizer = normalizers.NFC()
            t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        t.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)
    elif kind == "sp-bpe":
        t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        t.pre_tokenizer = pre_tokenizers.Metaspace()  # for training; whole texts take the library too long
        t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        trainer = trainers.BpeTrainer(special_tokens=special + [f"<0x{i:02X}>" for i in range(256)], **options)
    elif kind == "unigram":
        t = Tokenizer(models.Unigram())
        t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
        t.pre_tokenizer = pre_tokenizers.Metaspace()
        t.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(special_tokens=special, unk_token="<unk>", **options)
    else:
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer = normalizers.BertNormalizer(lowercase=True)
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        t.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(special_tokens=special, **options)
    t.train_from_iterator(texts, trainer)
    if kind == "sp-bpe":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        t.pre_tokenizer = None
    return t


def from_gguf(path: str) -> Tokenizer:
    """The library's tokenizer for a GGUF file of the gpt2 kind whose words are cut as SmolLM's."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    texts = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    if texts("tokenizer.ggml.pre") != ["smollm"]:
        sys.exit(f"{path}: only files with tokenizer.ggml.pre = smollm are known here")
    vocabulary = {token: i for i, token in enumerate(texts("tokenizer.ggml.tokens"))}
    t = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(m.split(" ")) for m in texts("tokenizer.ggml.merges")]))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    return t


def theirs(t: Tokenizer, texts: list[str], size: int, seconds: float) -> dict:
    def fastest(one):
        start, best = time.perf_counter(), float("inf")
        while time.perf_counter() - start < seconds:
            begin = time.perf_counter()
            one()
            best = min(best, time.perf_counter() - begin)
        return best
    ids = [e.ids for e in t.encode_batch(texts, add_special_tokens=False)]
    return {"encode_mb_s": size / 1e6 / fastest(lambda: t.encode_batch_fast(texts)), "decode_mb_s": size / 1e6 / fastest(lambda: t.decode_batch(ids, skip_special_tokens=False)),
            "tokens": sum(map(len, ids))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--megabytes", type=float, default=2)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--model", help="a GGUF file with a byte-level tokenizer")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    texts = prose(int(args.megabytes * 1e6))
    size = sum(len(t.encode()) for t in texts)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "texts.jsonl").write_text("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in texts))
        cases = []
        for kind in args.kinds.split(","):
            t = build(kind, texts)
            (scratch / kind).mkdir()
            t.save(str(scratch / kind / "tokenizer.json"))
            cases.append((kind, t, scratch / kind))
        if args.model:
            cases.append((pathlib.Path(args.model).stem, from_gguf(args.model), args.model))
        for name, t, path in cases:
            rows = []
            for _ in range(args.turns):
                r = subprocess.run([PROGRAM, str(path), str(scratch / "texts.jsonl"), str(args.seconds)], capture_output=True, check=True)
                rows.append((json.loads(r.stdout), theirs(t, texts, size, args.seconds)))
            assert all(a["tokens"] == b["tokens"] for a, b in rows), f"{name}: {rows[0][0]['tokens']} tokens, the library has {rows[0][1]['tokens']}"
            median = lambda who, key: statistics.median(row[who][key] for row in rows)
            result = {"kind": name, "load_ms": median(0, "load_ms")}
            for what in ("encode_mb_s", "decode_mb_s"):
                result |= {what: round(median(0, what), 1), what + "_library": round(median(1, what), 1)}
                result[what.replace("mb_s", "ratio")] = round(statistics.median(a[what] / b[what] for a, b in rows), 1)
            if args.json:
                print(json.dumps(result), flush=True)
            else:
                print(f"{name:20} encode {result['encode_mb_s']:7} MB/s ({result['encode_ratio']} x library)   decode {result['decode_mb_s']:7} MB/s "
                      f"({result['decode_ratio']} x)   load {result['load_ms']:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
