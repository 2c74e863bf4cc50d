// Sources: what files hold comes out as documents; what they should not hold is named with its place.

#include <algorithm>
#include <cstdlib>
#include <zlib.h>
#include <zstd.h>

#include "base/expect_error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/temporary_folder.h"
#include "data/byte_stream.h"
#include "data/source.h"
#include "data/statistics.h"

namespace martlet::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string gzipped(const std::string& text) {
  z_stream state{};
  deflateInit2(&state, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&state, text.size()) + 64, '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&state, Z_FINISH), Z_STREAM_END);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

std::string zstd_packed(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_CCtx* state = ZSTD_createCCtx();
  // As the zstd program does it; without, damage in plain letters cannot be seen.
  ZSTD_CCtx_setParameter(state, ZSTD_c_checksumFlag, 1);
  out.resize(ZSTD_compress2(state, out.data(), out.size(), text.data(), text.size()));
  ZSTD_freeCCtx(state);
  return out;
}

std::string random_text(uint64_t seed, size_t size) {
  const Philox philox(seed);
  std::string text;
  for (uint64_t i = 0; text.size() < size; ++i)
    text += "word" + std::to_string(philox.below(i, 50)) + (i % 9 ? " " : "\n");
  return text;
}

std::vector<Document> read_all(const std::vector<std::string>& words, ReadOptions options = {},
                               ReadReport* report = nullptr) {
  ReadReport own;
  Corpus corpus(words, options, report != nullptr ? *report : own);
  std::vector<Document> documents;
  for (Document document; corpus.next(document);) documents.push_back(document);
  return documents;
}

std::string all_bytes(const std::string& path, size_t piece) {
  const auto stream = open_byte_stream(path);
  std::string all, buffer(piece, '\0');
  while (const size_t got = stream->read(buffer)) all.append(buffer, 0, got);
  return all;
}

TEST(ByteStream, PackedFilesUnpackToTheSameBytes) {
  const TemporaryFolder folder;
  const std::string text = random_text(1, 1'500'000);
  write_file(folder / "plain", text);
  write_file(folder / "gzip", gzipped(text));
  write_file(folder / "members", gzipped(text.substr(0, 1000)) + gzipped("") + gzipped(text.substr(1000)));
  write_file(folder / "zstd", zstd_packed(text));
  write_file(folder / "frames", zstd_packed(text.substr(0, 200000)) + zstd_packed(text.substr(200000)));
  for (const char* name : {"plain", "gzip", "members", "zstd", "frames"})
    for (const size_t piece : {1000u, 65536u, 3'000'000u})
      EXPECT_EQ(all_bytes(folder / name, piece), text) << name;
}

TEST(ByteStream, CutOrDamagedPackingIsSaid) {
  const TemporaryFolder folder;
  const std::string text = random_text(2, 300'000);
  for (const std::string& packed : {gzipped(text), zstd_packed(text)}) {
    write_file(folder / "cut", packed.substr(0, packed.size() / 2));
    EXPECT_THAT(bad_input_of([&] { all_bytes(folder / "cut", 4096); }), HasSubstr("cut short"));
    std::string damaged = packed;
    for (size_t i = 100; i < 140; ++i) damaged[i] = static_cast<char>(~damaged[i]);
    write_file(folder / "damaged", damaged);
    EXPECT_THAT(bad_input_of([&] { all_bytes(folder / "damaged", 4096); }), HasSubstr("damaged"));
  }
  EXPECT_THAT(bad_input_of([&] { open_byte_stream(folder / "absent"); }), HasSubstr("cannot be opened"));
  EXPECT_THAT(bad_input_of([&] { open_byte_stream(folder.path()); }), HasSubstr("folder"));
}

TEST(LineReader, GivesLinesWithTheirNumbersWhateverTheirEnds) {
  const TemporaryFolder folder;
  write_file(folder / "lines", "one\r\n\nthree\nlast");
  LineReader reader(open_byte_stream(folder / "lines"), "lines");
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) lines.push_back(fmt::format("{}:{}", reader.number(), line));
  EXPECT_THAT(lines, ElementsAre("1:one", "2:", "3:three", "4:last"));
  write_file(folder / "long", std::string(3'000'000, 'x'));
  LineReader limited(open_byte_stream(folder / "long"), "long", 1'000'000);
  std::string line;
  EXPECT_THAT(bad_input_of([&] { limited.next(line); }), HasSubstr("long:1: a line is longer"));
}

TEST(Sources, TextIsOneDocumentAndALongOneIsCutAtLines) {
  const TemporaryFolder folder;
  const std::string text = random_text(3, 100'000);
  write_file(folder / "book.txt", text);
  EXPECT_EQ(read_all({folder / "book.txt"}).size(), 1u);
  const std::vector<Document> pieces = read_all({folder / "book.txt"}, {.longest_text = 10'000});
  EXPECT_GE(pieces.size(), 10u);
  std::string joined;
  for (const Document& piece : pieces) {
    EXPECT_LE(piece.text.size(), 10'000u);
    EXPECT_EQ(joined.empty() || joined.back() == '\n', true);
    joined += piece.text;
  }
  EXPECT_EQ(joined, text);
  EXPECT_THAT(pieces[1].where, HasSubstr("book.txt (part 2)"));
}

TEST(Sources, WithoutLinesACutFallsBetweenCharacters) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "水";
  write_file(folder / "water.txt", text);
  std::string joined;
  for (const Document& piece : read_all({folder / "water.txt"}, {.longest_text = 1000})) {
    EXPECT_EQ(piece.text.size() % 3, 0u);
    joined += piece.text;
  }
  EXPECT_EQ(joined, text);
}

/// Bytes of memory that this process has now.
int64_t resident_bytes() {
  const std::string status = read_file("/proc/self/status");
  return std::atoll(status.c_str() + status.find("VmRSS:") + 6) * 1024;
}

TEST(Sources, AFileFarLargerThanTheMemoryUsedIsRead) {
  const TemporaryFolder folder;
  constexpr size_t kBytes = size_t{96} << 20;
  std::string line = random_text(5, 900), part;
  while (part.size() < size_t{4} << 20) part += line;
  std::string packed;
  for (size_t written = 0; written < kBytes; written += part.size()) packed += gzipped(part);
  write_file(folder / "large.txt.gz", packed);
  ReadReport report;
  Corpus corpus({folder / "large.txt.gz"}, {}, report);
  const int64_t before = resident_bytes();
  int64_t most = 0;
  size_t bytes = 0;
  for (Document document; corpus.next(document);) {
    bytes += document.text.size();
    most = std::max(most, resident_bytes());
  }
  EXPECT_GE(bytes, kBytes);
  EXPECT_LT(most - before, int64_t{24} << 20);
}

TEST(Sources, InvalidUtf8IsReplacedAndCountedOrRefused) {
  const TemporaryFolder folder;
  write_file(folder / "latin.txt", "the caf\xE9 of the na\xEFve is open all day and all night long");
  write_file(folder / "rows.jsonl", "{\"text\": \"good\"}\n{\"text\": \"caf\xE9\"}\n");
  ReadReport report;
  EXPECT_EQ(read_all({folder / "latin.txt"}, {}, &report)[0].text,
            "the caf\uFFFD of the na\uFFFDve is open all day and all night long");
  EXPECT_EQ(read_all({folder / "rows.jsonl"}, {}, &report)[1].text, "caf\uFFFD");
  EXPECT_EQ(report.invalid_parts, 3);
  const ReadOptions refuse{.invalid_utf8 = ReadOptions::InvalidUtf8::kRefuse};
  EXPECT_THAT(bad_input_of([&] { read_all({folder / "latin.txt"}, refuse); }),
              HasSubstr("2 parts are not UTF-8"));
  EXPECT_THAT(bad_input_of([&] { read_all({folder / "rows.jsonl"}, refuse); }), HasSubstr("rows.jsonl:2"));
}

TEST(Sources, BinaryNoiseIsRefusedAloneAndPassedOverInFolders) {
  const TemporaryFolder folder;
  const Philox philox(4);
  std::string noise;
  for (uint64_t i = 0; i < 5000; ++i) noise += static_cast<char>(philox.bits(i));
  make_directories(folder / "mixed/.hidden");
  write_file(folder / "mixed/a.bin", noise);
  write_file(folder / "mixed/b.txt", "words");
  write_file(folder / "mixed/.hidden/c.txt", "secret");
  EXPECT_THAT(bad_input_of([&] { read_all({folder / "mixed/a.bin"}); }), HasSubstr("binary"));
  ReadReport report;
  const std::vector<Document> documents = read_all({folder / "mixed"}, {}, &report);
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].text, "words");
  EXPECT_THAT(report.skipped, ElementsAre(HasSubstr("a.bin")));
  write_file(folder / "mixed/b.txt", noise);
  EXPECT_THAT(bad_input_of([&] { read_all({folder / "mixed"}); }),
              HasSubstr("no document in it; 2 binary files"));
}

TEST(Sources, FoldersAndPatternsReadEveryFileInOrder) {
  const TemporaryFolder folder;
  make_directories(folder / "d/e");
  write_file(folder / "d/2.txt", "second");
  write_file(folder / "d/1.jsonl.gz", gzipped("{\"text\": \"first\"}\n"));
  write_file(folder / "d/e/3.md.zst", zstd_packed("third"));
  const auto texts = [&](const std::string& word) {
    std::vector<std::string> found;
    for (const Document& document : read_all({word})) found.push_back(document.text);
    return found;
  };
  EXPECT_THAT(texts(folder / "d"), ElementsAre("first", "second", "third"));
  EXPECT_THAT(texts(folder / "d/*.txt"), ElementsAre("second"));
  EXPECT_THAT(texts(folder / "d/[12].*"), ElementsAre("first", "second"));
  EXPECT_THAT(bad_input_of([&] { texts(folder / "d/*.csv"); }), HasSubstr("no file has a name like this"));
  EXPECT_THAT(bad_input_of([&] { texts(folder / "absent.txt"); }), HasSubstr("cannot be opened"));
}

TEST(Sources, RowsOfEveryFormAreRead) {
  const TemporaryFolder folder;
  write_file(folder / "rows.jsonl",
             "{\"text\": \"t\", \"other\": 1}\n\n{\"ids\": [1, 2]}\n"
             "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"}], \"tools\": [1]}\n"
             "{\"prompt\": \"p\", \"response\": \"r\"}\n{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": "
             "\"x\"}\n"
             "{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": 1}\n");
  const std::vector<Document> rows = read_all({folder / "rows.jsonl"});
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0].text, "t");
  EXPECT_THAT(rows[1].ids, ElementsAre(1, 2));
  EXPECT_THAT(rows[1].where, HasSubstr("rows.jsonl:3"));
  EXPECT_EQ(rows[2].tools.array().size(), 1u);
  EXPECT_EQ(rows[3].messages.array()[1].at("content").string(), "r");
  EXPECT_EQ(rows[4].messages.array()[1].at("content").string(), "c");
  EXPECT_EQ(rows[5].messages.array()[0].at("content").string(), "q\nA. x\nB. y");
  EXPECT_EQ(rows[5].messages.array()[1].at("content").string(), "B");
}

TEST(Sources, ABrokenLineIsNamedWithFileAndLine) {
  const TemporaryFolder folder;
  const auto message_of = [&](const std::string& seventh) {
    std::string rows;
    for (int i = 0; i < 6; ++i) rows += "{\"text\": \"fine\"}\n";
    write_file(folder / "rows.jsonl", rows + seventh + "\n{\"text\": \"after\"}\n");
    return bad_input_of([&] { read_all({folder / "rows.jsonl"}); });
  };
  for (const auto& [row, reason] : std::vector<std::pair<std::string, std::string>>{
           {"{\"text\": ", ""},
           {"[1]", "must be a table"},
           {"{}", "needs text, ids, messages"},
           {"{\"text\": 5}", "'text' must be text, not an integer"},
           {"{\"ids\": [1, \"2\"]}", "must hold integers"},
           {"{\"ids\": [-1, 2]}", "not a token id"},
           {"{\"ids\": 3}", "a list of integers"},
           {"{\"messages\": []}", "empty"},
           {"{\"messages\": [{\"content\": \"c\"}]}", "no 'role'"},
           {"{\"messages\": [{\"role\": \"robot\", \"content\": \"c\"}]}", "not 'robot'"},
           {"{\"messages\": [{\"role\": \"user\"}]}", "no 'content'"},
           {"{\"prompt\": \"p\"}", "'response' is missing"},
           {"{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": 2}", "from 0 to 1"},
           {std::string("\xFF\0", 2), "binary"}})
    EXPECT_THAT(message_of(row), ::testing::AllOf(HasSubstr("rows.jsonl:7"), HasSubstr(reason)));
}

TEST(Sources, AnEmptyCorpusIsAnError) {
  const TemporaryFolder folder;
  write_file(folder / "empty.txt", " \n\n");
  write_file(folder / "empty.jsonl", "\n");
  make_directories(folder / "nothing");
  for (const char* name : {"empty.txt", "empty.jsonl", "nothing"})
    EXPECT_THAT(bad_input_of([&] { read_all({folder / name}); }), HasSubstr("there is no document in it"));
  EXPECT_THAT(error_of(ErrorCode::kUsage, [] { read_all({}); }), HasSubstr("no data was named"));
}

TEST(Sources, TinyworldIsASource) {
  const std::vector<Document> documents =
      read_all({"tinyworld:documents=50,seed=3,languages=zh,kinds=story=1+fact"});
  EXPECT_EQ(documents.size(), 50u);
  for (const Document& document : documents) EXPECT_EQ(main_script(document.text), "Han");
  EXPECT_EQ(read_all({"tinyworld:documents=5"}).size(), 5u);
  EXPECT_THAT(error_of(ErrorCode::kUsage, [] { read_all({"tinyworld:sed=3"}); }),
              HasSubstr("did you mean seed?"));
  EXPECT_THAT(error_of(ErrorCode::kUsage, [] { read_all({"tinyworld:seed"}); }), HasSubstr("KEY=VALUE"));
  EXPECT_THAT(error_of(ErrorCode::kUsage, [] { read_all({"tinyworld:seed=x"}); }),
              HasSubstr("must be a number"));
}

TEST(Statistics, CountsWhatIsThere) {
  const TemporaryFolder folder;
  write_file(folder / "rows.jsonl",
             "{\"text\": \"hello\"}\n{\"text\": \"hello\"}\n{\"text\": \"你好吗\"}\n{\"text\": "
             "\"12345678\"}\n{\"ids\": [1, 2]}\n");
  ReadReport report;
  Corpus corpus({folder / "rows.jsonl"}, {}, report);
  const CorpusStatistics statistics = statistics_of(corpus, nullptr);
  EXPECT_EQ(statistics.documents, 5);
  EXPECT_EQ(statistics.bytes, 5 + 5 + 9 + 8 + 4);
  EXPECT_EQ(statistics.duplicates, 1);
  EXPECT_EQ(statistics.languages, (std::map<std::string, int64_t>{{"Latin", 2}, {"Han", 1}, {"none", 1}}));
  EXPECT_EQ(statistics.forms, (std::map<std::string, int64_t>{{"text", 4}, {"ids", 1}}));
  EXPECT_EQ(statistics.lengths[2], 3);
  EXPECT_EQ(statistics.lengths[3], 2);
}

}  // namespace
}  // namespace martlet::data
