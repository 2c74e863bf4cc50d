"""Tokenizers against the `tokenizers` library: every component, alone and combined, ids, offsets, decoded text.

Strings and models are drawn from $SEED (1). tokenizers_driver.cc runs ours; the program itself ($MARTLET, else
build/release/martlet) is compared once.
"""
import json, os, pathlib, random, subprocess

import pytest

tokenizers = pytest.importorskip("tokenizers")
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers as N, pre_tokenizers as P, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = os.environ.get("MARTLET_TOKENIZERS_DRIVER") or str(ROOT / "build/release/tests/tokenizers_driver")
PROGRAM = os.environ.get("MARTLET") or str(ROOT / "build/release/martlet")
SEED = int(os.environ.get("SEED", "1"))
COUNT = int(os.environ.get("COUNT", "300"))


def run(command, lines):
    """One JSON value a line in and out."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    r = subprocess.run(command, input=text.encode(), capture_output=True, timeout=600)
    assert r.returncode == 0, r.stderr.decode(errors="replace")[-800:]
    return [json.loads(line) for line in r.stdout.split(b"\n")[:-1]]


def ours(mode, directory, lines):
    return run([DRIVER, mode, str(directory)], lines)


# Letters, marks, digits, signs and spaces of many scripts; what Unicode 15.1 and 16 added; private use, noncharacters.
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x250, 0x36F), (0x370, 0x5FF), (0x600, 0x8FF), (0x900, 0xDFF), (0xE00, 0x109F),
          (0x10A0, 0x11FF), (0x1200, 0x18AF), (0x1C80, 0x1CFF), (0x1D00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x2C00, 0x2FFF), (0x3000, 0x33FF),
          (0x4E00, 0x4EFF), (0xA640, 0xABFF), (0xAC00, 0xACFF), (0xD7B0, 0xD7FF), (0xE000, 0xE010), (0xF900, 0xFFFD), (0x10000, 0x102FF), (0x10D40, 0x10D8F),
          (0x11000, 0x11FFF), (0x13430, 0x13460), (0x16100, 0x16140), (0x16D40, 0x16D80), (0x16EA0, 0x16EB8), (0x1B000, 0x1B2FF), (0x1CC00, 0x1CCFF), (0x1D100, 0x1D7FF), (0x1E000, 0x1E5FF),
          (0x1F000, 0x1FBFF), (0x20000, 0x20010), (0x2EBF0, 0x2EBFF), (0x2F800, 0x2FA1F), (0xE0000, 0xE01EF)]
WORDS = ["the", " the", "The", "HELLO", "HeLLo", "camelCase", "don't", "I'LL", "you'Ve", "'S", "it'\u017f", "O'Re", "''t", "x'd", "été", "e\u0301te\u0301", "Å\u0323", "q\u0307\u0323", "ﬁn", "①②", "½", "Ⅷ", "ℌ",
         "İI", "ΑΣ", "ß", "Ǆ", "ǅ", "가각", "\u1100\u1161\u11a8", "か\u3099", "東京都", "中文。", "ภาษา", "हिन्दी", "क्ष", "👍🏽", "👩‍🔬", "🇫🇷", "12", "1234567", "１２３", "٣٤", "3.5e-7", "\t", " ", "  ", "   ",
         "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2028", "\u200b", "\u200d", "\u0085", "\u180e", "...", "!?", "--", "/*", "//", "_", "a_b", "$", "<", "<0x41>", "▁", "▁▁", "Ġ", "##ing", "</w>", "[MASK]", "<s>", " <s> ",
         "</s>", "<mask>", "  <mask>  ", "lonely", "alonely", "lonely.", "[Upper]", "[upper]", "a\u0300\u0316b", "\ufb2a", "\u0344", "\ufdfa", "\u0958", "\u212b", "\ufffd", "~", "^", "`a`", "http://x.y/z?q=1", "don\u2019t"]


def strings(seed, count):
    rng = random.Random(seed * 7919 + 13)
    out = ["", " ", "a", "\u0000", "\n", "ab" * 700, " " * 300, "é" * 300, "e\u0301" * 300, "中" * 300, "\n" * 90, "1" * 400, "▁" * 50, "'" * 40]
    while len(out) < count:
        parts = []
        for _ in range(rng.randint(1, 10)):
            if rng.random() < 0.6:
                parts.append(rng.choice(WORDS))
            else:
                low, high = rng.choice(RANGES)
                parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 5))))
        out.append(rng.choice(["", "", " ", " ", "  ", "\n"]).join(parts))
    return [s for s in out if not any(0xD800 <= ord(c) < 0xE000 for c in s)]


STRINGS = strings(SEED, COUNT)


def attempt(function):
    """The library panics on some inputs; those say nothing."""
    try:
        return function()
    except BaseException as error:  # noqa: BLE001 - a panic of the extension is no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return None


def compare(tokenizer, directory, texts=None, decoding=True, offsets=True):
    directory.mkdir(exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    pairs = [(s, e) for s in (STRINGS if texts is None else texts) if (e := attempt(lambda: tokenizer.encode(s))) is not None]
    assert len(pairs) > 0.5 * len(texts or STRINGS)
    texts = [s for s, _ in pairs]
    want = [e.ids for _, e in pairs]
    got = ours("encode", directory, texts)
    wrong = sorted((s for s, g, w in zip(texts, got, want) if g != w), key=len)
    assert not wrong, f"{len(wrong)} of {len(texts)} differ; shortest {wrong[0]!r}: got {got[texts.index(wrong[0])][:20]}, expected {want[texts.index(wrong[0])][:20]}"
    if offsets:
        want_offsets = [[[i, *o] for i, o in zip(e.ids, e.offsets)] for _, e in pairs]
        got = ours("offsets", directory, texts)
        wrong = sorted((s for s, g, w in zip(texts, got, want_offsets) if g != w), key=len)
        assert not wrong, f"offsets: {len(wrong)} differ; shortest {wrong[0]!r}: got {got[texts.index(wrong[0])][:12]}, expected {want_offsets[texts.index(wrong[0])][:12]}"
    if decoding:
        for mode in ("decode", "skip"):
            back = ours(mode, directory, want)
            expected = [attempt(lambda: tokenizer.decode(ids, skip_special_tokens=mode == "skip")) for ids in want]
            wrong = [(s, g, w) for s, g, w in zip(texts, back, expected) if w is not None and g != w]
            assert not wrong, f"{mode}: {len(wrong)} differ; {min(wrong, key=lambda x: len(x[0]))!r}"
        whole, pieces = ours("decode", directory, want), ours("stream", directory, want)
        wrong = [(s, g, w) for s, g, w in zip(texts, pieces, whole) if g != w]
        assert not wrong, f"stream: {len(wrong)} differ; {min(wrong, key=lambda x: len(x[0]))!r}"


def byte_vocabulary(extra=()):
    return {token: i for i, token in enumerate(["<unk>", *[f"<0x{i:02X}>" for i in range(256)], *extra])}


def showing_text():
    """A model whose ids spell out the bytes of the text that reaches it."""
    return Tokenizer(models.BPE(byte_vocabulary("ab▁"), [], unk_token="<unk>", byte_fallback=True))


def compare_pieces(directory, texts=None, normalizer=None, pre_tokenizer=None, offsets=True):
    """Compares pieces by a model whose ids spell out bytes and where each piece ends, and offsets by one without ends."""
    ends = Tokenizer(models.BPE(byte_vocabulary(), [], unk_token="<unk>", byte_fallback=True, end_of_word_suffix="</w>"))
    for t in (ends, showing_text()) if offsets else (ends,):
        if normalizer:
            t.normalizer = normalizer
        t.pre_tokenizer = pre_tokenizer
        compare(t, directory, texts, decoding=False, offsets=t is not ends)


SPLITS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
NORMALIZERS = {
    "NFC": N.NFC(), "NFD": N.NFD(), "NFKC": N.NFKC(), "NFKD": N.NFKD(), "Lowercase": N.Lowercase(), "StripAccents": N.StripAccents(),
    "Strip": N.Strip(), "Strip-left": N.Strip(left=True, right=False), "Strip-right": N.Strip(left=False, right=True), "Prepend": N.Prepend("▁"), "Prepend-two": N.Prepend("é+"),
    "Replace": N.Replace(" ", "▁"), "Replace-regex": N.Replace(Regex(r"\s+"), " "), "Replace-nothing": N.Replace(Regex(r"\p{Lu}"), ""), "Replace-empty": N.Replace(Regex(r"(?=\d)"), "|"),
    "Nmt": N.Nmt(), "ByteLevel": N.ByteLevel(), "Bert": N.BertNormalizer(), "Bert-cased": N.BertNormalizer(lowercase=False), "Bert-accents": N.BertNormalizer(strip_accents=False, handle_chinese_chars=False),
    "Bert-unclean": N.BertNormalizer(clean_text=False), "Sequence": N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase(), N.NFC()]), "Sequence-strip": N.Sequence([N.Strip(), N.Prepend("▁"), N.Replace(" ", "▁")]),
    "Sequence-nested": N.Sequence([N.Sequence([N.NFKC(), N.Nmt()]), N.Replace(Regex(" {2,}"), " "), N.Lowercase()]), "Sequence-nfkd-bytes": N.Sequence([N.NFKD(), N.StripAccents(), N.ByteLevel()]),
}


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normalizer(name, tmp_path):
    t = showing_text()
    t.normalizer = NORMALIZERS[name]
    compare(t, tmp_path / "m", decoding=False)


PRE_TOKENIZERS = {
    "ByteLevel": P.ByteLevel(add_prefix_space=False), "ByteLevel-prefix": P.ByteLevel(add_prefix_space=True), "ByteLevel-whole": P.ByteLevel(add_prefix_space=True, use_regex=False),
    "Metaspace": P.Metaspace(), "Metaspace-first": P.Metaspace(prepend_scheme="first"), "Metaspace-never": P.Metaspace(prepend_scheme="never"), "Metaspace-whole": P.Metaspace(split=False), "Metaspace-x": P.Metaspace(replacement="_", prepend_scheme="first"),
    "Digits": P.Digits(), "Digits-single": P.Digits(individual_digits=True), "Whitespace": P.Whitespace(), "WhitespaceSplit": P.WhitespaceSplit(), "Bert": P.BertPreTokenizer(), "UnicodeScripts": P.UnicodeScripts(),
    "CharDelimiter": P.CharDelimiterSplit("t"), "CharDelimiter-wide": P.CharDelimiterSplit("▁"), "FixedLength": P.FixedLength(3),
    **{f"Punctuation-{b}": P.Punctuation(b) for b in SPLITS},
    **{f"Split-{b}-{i}": P.Split(" ", b, invert=i) for b in SPLITS for i in (False, True)},
    **{f"Split-regex-{b}-{i}": P.Split(Regex(r"\p{P}|\s+"), b, invert=i) for b in SPLITS for i in (False, True)},
    **{f"Split-words-{b}-{i}": P.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"), b, invert=i) for b in SPLITS for i in (False, True)},
    "Sequence": P.Sequence([P.WhitespaceSplit(), P.Punctuation(), P.Digits(individual_digits=True)]), "Sequence-metaspace": P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), "Sequence-scripts": P.Sequence([P.UnicodeScripts(), P.ByteLevel(add_prefix_space=True)]),
    "Sequence-bytes": P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)]), "Sequence-bytes-inside": P.Sequence([P.ByteLevel(add_prefix_space=False), P.Split("Ġ", "merged_with_next")]),
}


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_pre_tokenizer(name, tmp_path):
    compare_pieces(tmp_path / "m", pre_tokenizer=PRE_TOKENIZERS[name])


@pytest.mark.parametrize("normalizer", ["NFKC", "Strip", "Sequence-strip", "Bert", "Replace-regex"])
@pytest.mark.parametrize("pre_tokenizer", ["ByteLevel-prefix", "Metaspace-first", "Bert", "Split-regex-merged_with_next-False", "Sequence-scripts"])
def test_both(normalizer, pre_tokenizer, tmp_path):
    compare_pieces(tmp_path / "m", normalizer=NORMALIZERS[normalizer], pre_tokenizer=PRE_TOKENIZERS[pre_tokenizer])


EXPRESSIONS = {
    "cl100k": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "cl100k-possessive": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "deepseek": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "kimi": r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "clip": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "word": r"\w+", "not-word": r"\W", "word-class": r"[\w&&[^\p{Nd}]]+", "not-word-class": r"[\W_]+", "negated-not-word": r"[^\W\d]+", "boundary": r"\b", "no-boundary": r"a\B", "space-end": r"\s+$", "line": r"^.",
    "hex": r"\h+", "not-hex": r"\H", "posix": r"[[:digit:]]+|[[:space:]]|[[:upper:]]|[[:^lower:]]x", "upper-posix": r"[[:upper:]][[:lower:]]*", "dot-all": r"(?m:a.)", "midway": r"a(?i)b|c", "interval": r"\d{,2}[a-z]{2,3}?", "unicode": r"[\u4e00-\u9fff]+|\x{3000}", "vertical": r"\v|\f",
    "properties": r"\p{Letter}\p{^L}|\P{L}\p{Lu}", "script": r"\p{Greek}+|\p{Hiragana}|\p{Arabic}", "three-digits": r"(?=(\d{3})+(?!\d))", "digit-groups": r"\d{1,3}(?=(?:\d{3})*\b)", "look-behind": r"(?<=\s)\S", "named": r"(?<x>.)\k<x>", "atomic": r"(?>a+)b|b", "nested": r"[a-c[x-z]]+|[^a-z[0-9]]",
    "line-break": r"\R", "caseless": r"(?i)the|İ|ß|ΑΣ", "case-property": r"\p{Ll}\p{Lu}", "literal-brace": r"a{|{x}|\{", "keep-free": r"\p{M}+|\p{S}|\p{Cf}|\p{Cn}|\p{Co}", "empty-alternative": r"a*",
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expression(name, tmp_path):
    compare_pieces(tmp_path / "m", pre_tokenizer=P.Split(Regex(EXPRESSIONS[name]), "isolated"))


@pytest.mark.parametrize("category", "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs C Cc Cf Cn".split() + [r"\s", r"\w", r"\d"])
def test_category_of_every_code_point(category, tmp_path):
    pre_tokenizer = P.Split(Regex(category if category[0] == "\\" else r"\p{%s}+" % category), "removed")
    points = [c for c in range(1, 0x33000) if not 0xD800 <= c < 0xE000] + list(range(0xE0000, 0xE0200)) + [0xF0000, 0x10FFFF]
    compare_pieces(tmp_path / "m", ["".join(map(chr, points[i:i + 4096])) for i in range(0, len(points), 4096)], pre_tokenizer=pre_tokenizer, offsets=False)


@pytest.mark.parametrize("name", ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Bert", "Bert-cased", "Bert-unclean", "Nmt", "Strip"])
def test_normalizer_of_every_code_point(name, tmp_path):
    t = showing_text()
    t.normalizer = NORMALIZERS[name]
    points = [c for c in range(1, 0x33000) if not 0xD800 <= c < 0xE000] + list(range(0xE0000, 0xE0200)) + [0xF0000, 0x10FFFF]
    texts = [".".join(map(chr, points[i:i + 2048])) for i in range(0, len(points), 2048)]
    rng = random.Random(SEED)
    marks = [c for c in points if 0x300 <= c < 0x370 or 0x591 <= c < 0x5C8 or 0x64B <= c < 0x660 or 0x897 <= c < 0x900 or 0x1AB0 <= c < 0x1B00 or 0x1DC0 <= c < 0x1E00 or 0x20D0 <= c < 0x20F1 or c in (0x10EFD, 0x1E08F, 0x1E4EC, 0x16D67, 0x11935, 0x11930)]
    texts += ["".join(rng.choice("aeEIоक가") + "".join(chr(rng.choice(marks)) for _ in range(rng.randint(0, 4))) for _ in range(200)) for _ in range(20)]
    compare(t, tmp_path / "m", texts, decoding=False, offsets=False)


@pytest.mark.parametrize("name", ["Digits-single", "Whitespace", "WhitespaceSplit", "Bert", "Punctuation-isolated", "UnicodeScripts"])
def test_pre_tokenizer_of_every_code_point(name, tmp_path):
    points = [c for c in range(1, 0x33000) if not 0xD800 <= c < 0xE000] + list(range(0xE0000, 0xE0200)) + [0xF0000, 0x10FFFF]
    compare_pieces(tmp_path / "m", ["a".join(map(chr, points[i:i + 2048])) for i in range(0, len(points), 2048)], pre_tokenizer=PRE_TOKENIZERS[name], offsets=False)


def trained(kind, seed=SEED):
    text = strings(seed + 1000, 800) + ["It was the best of times, it was the worst of times. " * 2] * 100
    special = ["<unk>", "<s>", "</s>", "<mask>", "[MASK]", "[CLS]", "[SEP]", "[UNK]"]
    if kind == "bytes":
        t = Tokenizer(models.BPE())
        t.pre_tokenizer, t.decoder = P.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
        trainer = trainers.BpeTrainer(vocab_size=1200, special_tokens=special, initial_alphabet=P.ByteLevel.alphabet(), show_progress=False)
    elif kind == "bytes-unknown":  # a vocabulary that lacks bytes
        t = Tokenizer(models.BPE(unk_token="<unk>"))
        t.pre_tokenizer, t.decoder, t.post_processor = P.ByteLevel(add_prefix_space=False), decoders.ByteLevel(), processors.ByteLevel(trim_offsets=True)
        trainer = trainers.BpeTrainer(vocab_size=600, limit_alphabet=90, special_tokens=special, show_progress=False)
    elif kind == "bytes-normalizer":
        t = Tokenizer(models.BPE(ignore_merges=True))
        t.normalizer, t.decoder = N.Sequence([N.NFC(), N.ByteLevel()]), decoders.ByteLevel()
        t.pre_tokenizer = P.Split("Ġ", "merged_with_next")
        trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=special, initial_alphabet=P.ByteLevel.alphabet(), show_progress=False)
    elif kind == "suffix":
        t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
        t.normalizer, t.pre_tokenizer, t.decoder = N.BertNormalizer(), P.BertPreTokenizer(), decoders.BPEDecoder()
        trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=special, end_of_word_suffix="</w>", show_progress=False)
    elif kind == "clip":
        t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
        t.normalizer = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
        t.pre_tokenizer = P.Sequence([P.Split(Regex(EXPRESSIONS["clip"]), "removed", invert=True), P.ByteLevel(add_prefix_space=False, use_regex=False)])
        t.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=special, end_of_word_suffix="</w>", initial_alphabet=P.ByteLevel.alphabet(), show_progress=False)
    elif kind == "prefix":
        t = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=True))
        t.pre_tokenizer, t.decoder = P.Whitespace(), decoders.WordPiece()
        trainer = trainers.BpeTrainer(vocab_size=1200, special_tokens=special, continuing_subword_prefix="##", limit_alphabet=80, show_progress=False)
    elif kind in ("sentence", "sentence-fallback", "sentence-whole"):
        t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=kind != "sentence-fallback", byte_fallback=kind == "sentence-fallback", ignore_merges=kind == "sentence-whole"))
        t.normalizer = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
        t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)])
        trainer = trainers.BpeTrainer(vocab_size=1500, limit_alphabet=120, special_tokens=special + [f"<0x{i:02X}>" for i in range(256)], show_progress=False)
    elif kind in ("unigram", "unigram-fallback"):
        t = Tokenizer(models.Unigram())
        t.normalizer = N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")])
        t.pre_tokenizer, t.decoder = P.Metaspace(prepend_scheme="first"), decoders.Metaspace(prepend_scheme="first")
        trainer = trainers.UnigramTrainer(vocab_size=9000, special_tokens=special + [f"<0x{i:02X}>" for i in range(256)], unk_token="<unk>", show_progress=False)
    elif kind == "wordpiece":
        t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12))
        t.normalizer, t.pre_tokenizer, t.decoder = N.BertNormalizer(lowercase=True), P.BertPreTokenizer(), decoders.WordPiece(cleanup=True)
        t.post_processor = processors.BertProcessing(("[SEP]", 6), ("[CLS]", 5))
        trainer = trainers.WordPieceTrainer(vocab_size=900, limit_alphabet=100, special_tokens=special, show_progress=False)
    else:
        t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        t.pre_tokenizer = P.Sequence([P.Whitespace(), P.Digits(individual_digits=True)])
        trainer = trainers.WordLevelTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    t.train_from_iterator(text, trainer)
    if kind == "unigram-fallback":
        d = json.loads(t.to_str())
        d["model"]["byte_fallback"] = True
        d["model"]["vocab"] = [v for v in d["model"]["vocab"] if len(v[0]) != 1 or ord(v[0]) < 0x3000]
        t = Tokenizer.from_str(json.dumps(d))
    return t


KINDS = ["bytes", "bytes-unknown", "bytes-normalizer", "suffix", "clip", "prefix", "sentence", "sentence-fallback", "sentence-whole", "unigram", "unigram-fallback", "wordpiece", "wordlevel"]


@pytest.mark.parametrize("kind", KINDS)
def test_trained(kind, tmp_path):
    compare(trained(kind), tmp_path / "m")


@pytest.mark.parametrize("kind", ["bytes", "sentence", "unigram", "wordpiece", "suffix"])
def test_added_tokens(kind, tmp_path):
    t = trained(kind)
    t.add_tokens([AddedToken("lonely", single_word=True), AddedToken("[Upper]", normalized=True), AddedToken("camel", normalized=False), AddedToken("été"), AddedToken("a\u0301b", normalized=False)])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False), AddedToken("[MASK]", lstrip=True, normalized=False), AddedToken("<extra> ", rstrip=True), AddedToken("<extra>", normalized=False), "<both>"])
    rng = random.Random(SEED)
    pieces = ["lonely", "[Upper]", "[upper]", "camel", "été", "ÉTÉ", "a\u0301b", "<mask>", "[MASK]", "<extra> ", "<extra>", "<both>", "<s>", " ", "  ", "x", "\n", "é", "1", "_", "\u3000"]
    texts = ["".join(rng.choice(pieces) for _ in range(rng.randint(1, 12))) for _ in range(COUNT)]
    compare(t, tmp_path / "m", texts)


DECODERS = {
    "ByteLevel": decoders.ByteLevel(), "Metaspace": decoders.Metaspace(), "Metaspace-never": decoders.Metaspace(prepend_scheme="never"), "WordPiece": decoders.WordPiece(), "WordPiece-raw": decoders.WordPiece(prefix="a", cleanup=False),
    "BPEDecoder": decoders.BPEDecoder("e"), "ByteFallback": decoders.ByteFallback(), "Fuse": decoders.Fuse(), "Strip": decoders.Strip("a", 1, 0), "Strip-two": decoders.Strip(" ", 2, 0), "Replace": decoders.Replace("t", "<t>"), "Replace-regex": decoders.Replace(Regex(r"\s|e+"), "-"),
    "CTC": decoders.CTC("a", "e"), "CTC-raw": decoders.CTC("<s>", "|", cleanup=False), "Sequence": decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]), "Sequence-nested": decoders.Sequence([decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]), decoders.WordPiece()]),
}


@pytest.mark.parametrize("name", DECODERS)
def test_decoder(name, tmp_path):
    rng = random.Random(SEED)
    extra = ["a", "aa", "t", "the", "▁the", "▁", "▁▁x", "##ing", "e", "en", " .", "n't", "do not", "'s", " ' ", "Ġa", "Ã©", "Ã", "é", "", "|", "中", "\ufffd", "<0xzz>", "<0x+A>", "  y"]
    t = Tokenizer(models.BPE(byte_vocabulary(dict.fromkeys(extra)), [], unk_token="<unk>", byte_fallback=True))
    t.add_special_tokens(["<s>", "</s>"])
    t.add_tokens([" spaced ", "é é"])
    t.decoder = DECODERS[name]
    d = tmp_path / "m"
    d.mkdir()
    t.save(str(d / "tokenizer.json"))
    size = t.get_vocab_size()
    bytes_of = lambda s: [1 + b for b in s.encode()]
    lists = [[rng.randrange(size) for _ in range(rng.randint(1, 9))] for _ in range(COUNT)]
    lists += [[rng.randrange(257, size) for _ in range(rng.randint(1, 9))] for _ in range(COUNT)]
    lists += [bytes_of("é中👍")[: rng.randint(1, 9)] + [rng.randrange(257, size)] for _ in range(50)]
    expected = [attempt(lambda: t.decode(ids, skip_special_tokens=False)) for ids in lists]
    got = ours("decode", d, lists)
    wrong = [(ids, [t.id_to_token(i) for i in ids], g, w) for ids, g, w in zip(lists, got, expected) if w is not None and g != w]
    assert not wrong, f"{len(wrong)} differ; {min(wrong, key=lambda x: len(x[0]))!r}"


PROCESSORS = {
    "template": processors.TemplateProcessing(single="<s>:1 $A:0 </s> </s>", pair="$A $B", special_tokens=[("<s>", 1), ("</s>", 2)]), "template-twice": processors.TemplateProcessing(single="$A <s> $A", pair="$A $B", special_tokens=[("<s>", 1)]),
    "bert": processors.BertProcessing(("</s>", 2), ("<s>", 1)), "roberta": processors.RobertaProcessing(("</s>", 2), ("<s>", 1)), "roberta-untrimmed": processors.RobertaProcessing(("</s>", 2), ("<s>", 1), trim_offsets=False),
    "bytes": processors.ByteLevel(trim_offsets=True), "bytes-untrimmed": processors.ByteLevel(trim_offsets=False), "sequence": processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(single="<s> $A", pair="$A $B", special_tokens=[("<s>", 1)])]),
}


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("kind", ["bytes", "unigram"])
def test_post_processor(name, kind, tmp_path):
    t = trained(kind)
    t.post_processor = PROCESSORS[name]
    compare(t, tmp_path / "m")


def protobuf_field(data, wanted):
    """The bytes of one length-delimited field of a message."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                return value, at
    at, found = 0, b""
    while at < len(data):
        key, at = varint(at)
        if key & 7 == 2:
            size, at = varint(at)
            if key >> 3 == wanted:
                found = data[at:at + size]
            at += size
        elif key & 7 == 0:
            _, at = varint(at)
        else:
            at += 4 if key & 7 == 5 else 8
    return found


@pytest.mark.parametrize("rule", ["nmt_nfkc", "nmt_nfkc_cf", "nfkc"])
def test_charsmap_of_sentencepiece(rule, tmp_path):
    spm = pytest.importorskip("sentencepiece")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(s.replace("\n", " ").replace("\0", "") for s in strings(SEED + 5, 500)), encoding="utf-8")
    spm.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(tmp_path / "sp"), vocab_size=400, model_type="char", normalization_rule_name=rule, hard_vocab_limit=False, minloglevel=3)
    charsmap = protobuf_field(protobuf_field((tmp_path / "sp.model").read_bytes(), 3), 2)  # normalizer_spec.precompiled_charsmap
    # The library loses its place when the first characters of a text are removed, hence the letter before each.
    t = showing_text()
    t.normalizer = N.Sequence([N.Precompiled(charsmap), N.Replace(Regex(" {2,}"), " ")])
    compare(t, tmp_path / "m", ["x" + s for s in STRINGS], decoding=False)
    points = [c for c in range(1, 0x33000) if not 0xD800 <= c < 0xE000]
    t.normalizer = N.Precompiled(charsmap)
    compare(t, tmp_path / "m", ["x" + ".".join(map(chr, points[i:i + 2048])) for i in range(0, len(points), 2048)], decoding=False, offsets=False)


def test_long_texts(tmp_path):
    for kind in ("bytes", "sentence", "unigram"):
        texts = ["a" * 30000, " " * 30000, "中文字" * 8000, "\n" * 20000, "ab cd" * 6000, "".join(random.Random(SEED).choice("abcdefgh ") for _ in range(30000))]
        compare(trained(kind), tmp_path / kind, texts)


def test_the_program(tmp_path):
    if not pathlib.Path(PROGRAM).is_file():
        pytest.skip("the program is not built")
    t = trained("sentence-fallback")
    t.save(str(tmp_path / "tokenizer.json"))
    want = [t.encode(s).ids for s in STRINGS]
    assert run([PROGRAM, "tokenize", str(tmp_path), "--json"], STRINGS) == want
    assert run([PROGRAM, "tokenize", str(tmp_path), "--json", "--decode"], want) == [t.decode(ids, skip_special_tokens=False) for ids in want]
