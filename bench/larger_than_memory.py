#!/usr/bin/env python3
"""A model of twice its memory: how near `--memory` comes to what the disk allows, under a real limit of the system.

    bench/larger_than_memory.py [FILE.gguf] [--turns 5] [--tokens 32] [--memory 0.5] [--least 0.8]

FILE is half read from disk for every token; without one, random Q4_0 weights in the shape of TinyLlama 1.1B are drawn. The program runs in a control group whose limit is
the budget that `--memory` names, its first start (which rearranges the weights) included. In turns with it the disk is read past the page cache, the file that streams, by one
reader, two and four; the fastest counts. The limit is that bandwidth over the bytes that a token streams, as the system counts them. Needs a built program ($MARTLET, else
build/release/martlet) and a group of memory that may be made (root). Ends with 1 where the median share of the limit is below --least or the program dies.
"""
import argparse
import contextlib
import json
import mmap
import os
import pathlib
import random
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")
HIDDEN, LAYERS, HEADS, KEY_VALUE_HEADS, INTERMEDIATE, VOCABULARY = 2048, 22, 32, 4, 5632, 32000
PIECE = 4 << 20  # of one read, as the program reads
PLACES = 16
READERS = (1, 2, 4)
SECONDS = 0.3
PAGE = 4096


def drawn_matrix(draw: random.Random, rows: int, columns: int) -> bytes:
    """Q4_0: blocks of 32 codes behind a scale, an f16 of about 0.0004."""
    blocks = rows * columns // 32
    data = bytearray(draw.randbytes(blocks * 18))
    data[0::18], data[1::18] = b"\x8e" * blocks, b"\x0e" * blocks
    return bytes(data)


def draw_file(path: pathlib.Path):
    """A GGUF file without a tokenizer."""
    width = HIDDEN // HEADS * KEY_VALUE_HEADS
    matrices = {"token_embd": (VOCABULARY, HIDDEN), "output": (VOCABULARY, HIDDEN)}
    vectors = ["output_norm"]
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        matrices |= {block + "attn_q": (HIDDEN, HIDDEN), block + "attn_k": (width, HIDDEN), block + "attn_v": (width, HIDDEN), block + "attn_output": (HIDDEN, HIDDEN),
                     block + "ffn_gate": (INTERMEDIATE, HIDDEN), block + "ffn_up": (INTERMEDIATE, HIDDEN), block + "ffn_down": (HIDDEN, INTERMEDIATE)}
        vectors += [block + "attn_norm", block + "ffn_norm"]
    tensors = [(name, shape, 2, shape[0] * shape[1] // 32 * 18) for name, shape in matrices.items()] + [(name, (HIDDEN,), 0, HIDDEN * 4) for name in vectors]

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    integers = dict(context_length=2048, embedding_length=HIDDEN, block_count=LAYERS, feed_forward_length=INTERMEDIATE, vocab_size=VOCABULARY,
                    **{"attention.head_count": HEADS, "attention.head_count_kv": KEY_VALUE_HEADS, "rope.dimension_count": HIDDEN // HEADS})
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
             text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5)]
    pairs += [text(f"llama.{key}") + struct.pack("<II", 4, value) for key, value in integers.items()]
    header, offset = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs), 0
    for name, shape, kind, size in tensors:
        header += text(name + ".weight") + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, offset)
        offset += size + -size % 32
    draw = random.Random(1)
    with open(path, "wb") as file:
        file.write(header + b"\0" * (-len(header) % 32))
        for _, shape, kind, size in tensors:
            file.write((drawn_matrix(draw, *shape) if kind else struct.pack("<f", 1) * shape[0]) + b"\0" * (-size % 32))


class MemoryGroup:
    """A control group below this process's own, version 1 or 2."""

    def __init__(self, limit: int):
        self.folder = None
        for line in open("/proc/self/cgroup"):
            _, controllers, own = line.strip().split(":", 2)
            self.first_version = "memory" in controllers.split(",")
            mounts = ["/sys/fs/cgroup/memory"] if self.first_version else ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            if controllers and not self.first_version:
                continue
            for mount in mounts:
                folder = pathlib.Path(mount + own.rstrip("/")) / f"martlet-bench-{os.getpid()}"
                with contextlib.suppress(OSError):
                    folder.mkdir()
                    try:
                        (folder / ("memory.limit_in_bytes" if self.first_version else "memory.max")).write_text(str(limit))
                        self.folder = folder
                        with contextlib.suppress(OSError):  # nor may it take swap instead
                            (folder / ("memory.memsw.limit_in_bytes" if self.first_version else "memory.swap.max")).write_text(str(limit if self.first_version else 0))
                        return
                    except OSError:
                        folder.rmdir()

    def kills(self) -> int:
        text = (self.folder / ("memory.oom_control" if self.first_version else "memory.events")).read_text()
        return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)

    def peak(self) -> int:
        try:
            return int((self.folder / ("memory.max_usage_in_bytes" if self.first_version else "memory.peak")).read_text())
        except OSError:
            return 0  # before Linux 5.19

    def run(self, words) -> subprocess.CompletedProcess:
        procs = str(self.folder / "cgroup.procs")
        return subprocess.run(["sh", "-c", 'echo $$ > "$0" && exec "$@"', procs, PROGRAM, *map(str, words)], capture_output=True, text=True)


class Disk:
    """What comes past the page cache, in bytes a second: read as the program reads, to large pages as far apart as its places."""

    def __init__(self, path: pathlib.Path):
        self.path, self.pieces = path, os.path.getsize(path) // PIECE
        self.places = mmap.mmap(-1, PLACES * PIECE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError, AttributeError):
            self.places.madvise(mmap.MADV_HUGEPAGE)
        self.places[::PAGE] = b"x" * (len(self.places) // PAGE)  # there before anything is measured

    def rate(self, readers: int, seconds: float) -> float:
        stop, done, places = time.perf_counter() + seconds, [0] * readers, memoryview(self.places)

        def read(reader: int):
            file, piece = os.open(self.path, os.O_RDONLY | os.O_DIRECT), reader
            while time.perf_counter() < stop:
                at = piece % PLACES * PIECE
                done[reader] += os.preadv(file, [places[at:at + PIECE]], piece % self.pieces * PIECE)
                piece += readers
            os.close(file)

        start, threads = time.perf_counter(), [threading.Thread(target=read, args=(reader,)) for reader in range(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - start)

    def rates(self) -> dict[int, float]:
        """By the number of readers, each twice for a short while."""
        taken = [{readers: self.rate(readers, SECONDS) for readers in READERS} for _ in range(2)]
        return {readers: statistics.mean(each[readers] for each in taken) for readers in READERS}


class Runs:
    """Greedy replies to one token within the budget."""

    def __init__(self, model: pathlib.Path, folder: pathlib.Path, budget: int, group: MemoryGroup):
        (folder / "asked.jsonl").write_text('{"ids": [5]}\n')
        self.group = group
        self.words = ["run", model, "--prompts", folder / "asked.jsonl", "--temp", 0, "--ignore-eos", "--json", "--loss", 0, "--memory", budget,
                      "--weight-cache", folder / "weights"]

    def reply(self, tokens: int) -> tuple[dict, int, str]:
        """The row, the bytes that came from disk, and what was said of the plan."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock
        done = self.group.run([*self.words, "-n", tokens])
        if done.returncode:
            sys.exit(f"the program ended with {done.returncode}: {done.stderr.strip() or 'killed'}; killed for memory in all: {self.group.kills()}")
        return json.loads(done.stdout), (resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock - before) * 512, done.stderr.strip()


def measure(model: pathlib.Path, folder: pathlib.Path, options) -> int:
    size = os.path.getsize(model)
    budget = int(size * options.memory) // PAGE * PAGE
    group = MemoryGroup(budget)
    if group.folder is None:
        print("skipped: no control group of memory can be made here, which takes root and the memory controller")
        return 0
    try:
        runs = Runs(model, folder, budget, group)
        start = time.perf_counter()
        _, _, plan = runs.reply(1)
        print(f"{model.name}: {size / 1e6:.0f} MB in {budget / 1e6:.0f} MB; first start {time.perf_counter() - start:.1f} s\n{plan}", flush=True)
        few, many = runs.reply(2)[1], runs.reply(2 + options.tokens)[1]
        streamed = (many - few) / options.tokens
        if streamed <= 0:
            sys.exit("nothing was streamed: the budget holds the model")
        kept = sorted((folder / "weights").rglob("*.weights"), key=os.path.getsize)
        disk = Disk(kept[-1] if kept else model)
        print(f"{streamed / 1e6:.1f} MB streamed for a token\n| tokens/s | GB/s streamed | disk alone, 1 reader | 2 | 4 | of the limit |\n| --- | --- | --- | --- | --- | --- |")
        shares, before = [], disk.rates()
        for _ in range(options.turns):
            speed = runs.reply(1 + options.tokens)[0]["tokens_per_s"]
            after = disk.rates()
            rates = {readers: (before[readers] + after[readers]) / 2 for readers in before}
            shares.append(speed * streamed / max(rates.values()))
            alone = " | ".join(f"{rates[readers] / 1e9:.2f}" for readers in READERS)
            print(f"| {speed:.2f} | {speed * streamed / 1e9:.2f} | {alone} | {100 * shares[-1]:.0f} % |", flush=True)
            before = after
        share, kills = statistics.median(shares), group.kills()
        print(f"median share of the limit {100 * share:.0f} %; the group took {group.peak() / 1e6:.0f} MB at most of {budget / 1e6:.0f}; killed for memory: {kills}")
        return int(share < options.least or kills > 0)
    finally:
        group.folder.rmdir()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=pathlib.Path, metavar="FILE.gguf")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--memory", type=float, default=0.5, help="the budget, as a share of the file")
    parser.add_argument("--least", type=float, default=0.8, help="the share of the limit that is asked for")
    parser.add_argument("--folder", help="where files lie meanwhile: on a disk; beside FILE, or in build/, unless given")
    options = parser.parse_args()
    where = options.folder or (options.model.resolve().parent if options.model else ROOT / "build")
    with tempfile.TemporaryDirectory(dir=where) as folder:
        model = options.model or pathlib.Path(folder) / "drawn.gguf"
        if options.model is None:
            draw_file(model)
        return measure(model, pathlib.Path(folder), options)


if __name__ == "__main__":
    sys.exit(main())
