"""Running models beside llama.cpp, in turns: reading a prompt, decoding alone, deep in a text and eight at once, the first
token of a new process, and the memory that it holds at most: started again, started for the first time, and without a weight cache.

    PYTHON bench/compare_llama.py MODEL.gguf .. [--turns 3] [--prefill 256] [--decode 32] [--deep 1024] [--json]

Prints a table: medians of `--turns`, of which each has one run of both, and the share of the bandwidth that decoding reaches
(bytes that a token must read over what all threads together read at most, measured in the same turn); then the README's, how
many times better and our figure. llama.cpp's first token
and memory count from after Python has loaded it, so that Python costs it nothing. Python needs llama-cpp-python and numpy.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[1]
MARTLET = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")
SEQUENCES = 8
MEMORY = ("memory_mib", "first_start_mib", "no_cache_mib")  # ours of three kinds of starts; llama.cpp has one


class Peer:
    """llama.cpp through its C interface: one context of several sequences."""

    def __init__(self, path: str, context: int, sequences: int, threads: int):
        import llama_cpp
        self.api = llama_cpp
        llama_cpp.llama_log_set(self.quiet, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.n_batch, params.n_ubatch = context * sequences, sequences, 2048, 512
        params.n_threads = params.n_threads_batch = threads
        if hasattr(params, "flash_attn_type"):
            params.flash_attn_type = 1
        else:
            params.flash_attn = True
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.batch = llama_cpp.llama_batch_init(4096, 0, sequences)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def read(self, tokens):
        """One forward over (id, position, sequence) of each token; scores of the last one of each sequence."""
        last = {sequence: i for i, (_, _, sequence) in enumerate(tokens)}
        self.batch.n_tokens = len(tokens)
        for i, (token, position, sequence) in enumerate(tokens):
            self.batch.token[i], self.batch.pos[i] = token, position
            self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
            self.batch.logits[i] = last[sequence] == i
        if self.api.llama_decode(self.context, self.batch) != 0:
            sys.exit("llama.cpp did not decode")

    def read_long(self, count: int, sequence: int = 0):
        for begin in range(0, count, 512):
            self.read([(self.token(i), i, sequence) for i in range(begin, min(count, begin + 512))])

    def token(self, i: int) -> int:
        return 300 + i * 7919 % (self.vocabulary - 600)

    def forget(self):
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)

    def decode_speed(self, depth: int, steps: int, sequences: int = 1) -> float:
        self.forget()
        for sequence in range(sequences):
            self.read_long(max(1, depth), sequence)
        start = time.perf_counter()
        for step in range(steps):
            self.read([(self.token(step), max(1, depth) + step, sequence) for sequence in range(sequences)])
        return sequences * steps / (time.perf_counter() - start)

    def prefill_speed(self, count: int) -> float:
        self.forget()
        self.read_long(16)
        self.forget()
        start = time.perf_counter()
        self.read_long(count)
        return count / (time.perf_counter() - start)


def quiet_callback():
    import llama_cpp
    return llama_cpp.llama_log_callback(lambda level, text, data: None)


def status_kib(key: str) -> int:
    """Of this process, whatever it was before it became this program (which ru_maxrss counts)."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key + ":"))


def new_high_water() -> int:
    """KiB held now, from which the most of what follows is counted."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return status_kib("VmRSS")


def peer_figures(args):
    """In a process of its own: a context that was used before has other memory."""
    if args.bandwidth:
        return read_bandwidth(args.threads)
    if args.own_start:
        return martlet_first_token(args, args.models[0])
    import llama_cpp
    Peer.quiet = staticmethod(quiet_callback())
    before = new_high_water()
    start = time.perf_counter()
    if args.first_token:
        peer = Peer(args.models[0], 2048, 1, args.threads)
        peer.read_long(8)
        first = time.perf_counter() - start
        peer.decode_speed(8, 64)
        return {"first_token_s": first, "memory_mib": (status_kib("VmHWM") - before) / 1024}
    peer = Peer(args.models[0], max(args.deep + args.decode, args.prefill) + 64, 1, args.threads)
    figures = {"prefill": peer.prefill_speed(args.prefill), "decode": peer.decode_speed(0, args.decode),
               "deep": peer.decode_speed(args.deep, args.decode)}
    together = Peer(args.models[0], args.decode + 64, SEQUENCES, args.threads)
    figures["together"] = together.decode_speed(0, args.decode, SEQUENCES)
    return figures


def own_process(args, model: str, *extra: str):
    """This program again, for one thing."""
    command = [sys.executable, __file__, model, "--peer", "--threads", str(args.threads), "--prefill", str(args.prefill),
               "--decode", str(args.decode), "--deep", str(args.deep), *extra]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr[-800:])
    return json.loads(run.stdout.splitlines()[-1])


def martlet_figures(args, model: str) -> dict:
    def bench(*extra):
        run = subprocess.run([MARTLET, "bench", model, "--threads", str(args.threads), "--decode", str(args.decode), "--runs", "3", "--json", *extra],
                             capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    alone = bench("--prefill", str(args.prefill), "--depth", f"0,{args.deep}")
    decode = {row["depth"]: row["tokens_per_s"] for row in alone["decode"]}
    return {"prefill": alone["prefill"][0]["tokens_per_s"], "decode": decode[0], "deep": decode[args.deep],
            "together": bench("--depth", "0", "--batch", str(SEQUENCES))["decode"][0]["tokens_per_s"]}


def martlet_first_token(args, model: str) -> dict:
    """In a small process of its own: ru_maxrss of a new process begins with what the one that starts it holds."""
    def run(tokens: int, *extra: str):
        start = time.perf_counter()
        command = [MARTLET, "run", model, "-p", "one two three four five", "-n", str(tokens), "--temp", "0", "--ignore-eos", "--threads", str(args.threads), *extra]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} gave {status}")
        return time.perf_counter() - start, usage.ru_maxrss / 1024

    with tempfile.TemporaryDirectory() as empty:
        first_start = run(65, "--weight-cache", empty)[1]
    return {"first_token_s": run(1)[0], "memory_mib": run(65)[1], "first_start_mib": first_start, "no_cache_mib": run(65, "--weight-cache", "off")[1]}


def read_bandwidth(threads: int) -> float:
    """Bytes a second that all threads together read from memory."""
    import numpy as np
    from concurrent.futures import ThreadPoolExecutor
    parts = [np.ones(1 << 26, dtype=np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        best = min(timed(lambda: list(pool.map(np.max, parts))) for _ in range(12))
    return sum(part.nbytes for part in parts) / best


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bytes_of_a_token(model: str) -> int:
    """The file without its embedding's table, unless that is the head too, and of its experts those that a token goes through."""
    import gguf
    reader = gguf.GGUFReader(model)
    names = {tensor.name for tensor in reader.tensors}
    counts = {name.rpartition(".")[2]: field.contents() for name, field in reader.fields.items() if name.endswith(("expert_count", "expert_used_count"))}
    of_experts = counts["expert_used_count"] / counts["expert_count"] if counts.get("expert_count") else 1
    return int(sum(int(tensor.n_bytes) * (of_experts if "_exps." in tensor.name else 1) for tensor in reader.tensors
                   if tensor.name != "token_embd.weight" or "output.weight" not in names))


def compare(args, model: str) -> dict:
    names = ("prefill", "decode", "deep", "together", "first_token_s", *MEMORY)
    ours = {name: [] for name in names}
    theirs = {name: [] for name in names}
    share = []
    for _ in range(args.turns):
        limit = own_process(args, model, "--bandwidth")
        for name, value in (own_process(args, model) | own_process(args, model, "--first-token")).items():
            for each in MEMORY if name == "memory_mib" else (name,):
                theirs[each].append(value)
        for name, value in (martlet_figures(args, model) | own_process(args, model, "--own-start")).items():
            ours[name].append(value)
        limit = max(limit, own_process(args, model, "--bandwidth"))
        share.append(ours["decode"][-1] * bytes_of_a_token(model) / limit)
    rows = {}
    for name in names:
        # Seconds and memory are better small: the ratio is how many times better in each row.
        better = [b / a if name in ("first_token_s", *MEMORY) else a / b for a, b in zip(ours[name], theirs[name])]
        rows[name] = {"martlet": statistics.median(ours[name]), "llama.cpp": statistics.median(theirs[name]), "ratio": statistics.median(better)}
    return {"model": os.path.basename(model), "share": statistics.median(share), **rows}


def digits_of(name: str, value: float) -> int:
    return 3 if name == "first_token_s" else 0 if value >= 100 else 1


def print_readme_table(args, found: list):
    titles = {"prefill": f"reading {args.prefill} tokens", "decode": "decoding", "deep": f"decoding at {args.deep:,}",
              "together": f"decoding {SEQUENCES} at once", "first_token_s": "first token of a new process"}
    print(f"\n| what | {' | '.join(each['model'] for each in found)} |\n|{' --- |' * (1 + len(found))}")
    for name, title in titles.items():
        unit = " s" if name == "first_token_s" else " tokens/s"
        ours = [each[name]["martlet"] for each in found]
        cells = [f"{each[name]['ratio']:.1f} ({value:,.{digits_of(name, value)}f}{unit})" for each, value in zip(found, ours)]
        print(f"| {title} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    for name, value in (("turns", 3), ("prefill", 256), ("decode", 32), ("deep", 1024), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", action="store_true", help="one object a model")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bandwidth", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--own-start", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first-token", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        print(json.dumps(peer_figures(args)))
        return
    titles = {"prefill": f"reading {args.prefill} tokens, tokens/s", "decode": "decoding, tokens/s", "deep": f"decoding at {args.deep:,}, tokens/s",
              "together": f"decoding {SEQUENCES} at once, tokens/s", "first_token_s": "first token of a new process, s", "memory_mib": "memory at most, MiB",
              "first_start_mib": "the same of a first start, MiB", "no_cache_mib": "the same without a weight cache, MiB"}
    if not args.json:
        print("| model | what | martlet | llama.cpp | times better |\n| --- | --- | --- | --- | --- |")
    all_found = []
    for model in args.models:
        found = compare(args, model)
        all_found.append(found)
        if args.json:
            print(json.dumps(found), flush=True)
            continue
        for name, title in titles.items():
            digits = digits_of(name, found[name]["martlet"])
            note = f" ({found['share']:.0%} of the bandwidth)" if name == "decode" else ""
            print(f"| {found['model']} | {title} | {found[name]['martlet']:.{digits}f}{note} | {found[name]['llama.cpp']:.{digits}f} | {found[name]['ratio']:.2f} |", flush=True)
    if not args.json:
        print_readme_table(args, all_found)


if __name__ == "__main__":
    main()
