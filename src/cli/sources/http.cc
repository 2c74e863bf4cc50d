#include "cli/sources/http.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <curl/curl.h>
#include <memory>
#include <string_view>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/interrupt.h"

namespace martlet::cli {
namespace {

constexpr size_t kLargestAnswer = size_t{64} << 20;
constexpr long kConnectSeconds = 20;
// Nothing at all for this long means that the connection is dead.
constexpr long kSilentSeconds = 30;
constexpr int kFruitlessAttempts = 3;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string trimmed(std::string_view text, std::string_view unwanted) {
  const size_t begin = text.find_first_not_of(unwanted);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(unwanted) + 1 - begin));
}

std::string without_quotes(std::string value) {
  if (value.starts_with("W/")) value.erase(0, 2);
  return trimmed(value, "\"");
}

/// One transfer: where the bytes go and what the headers said.
struct Transfer {
  CURL* curl = nullptr;
  std::string body;
  std::FILE* file = nullptr;  // null: into `body`
  std::string file_path;
  uint64_t offset = 0;   // asked for
  uint64_t written = 0;  // size of the file now
  uint64_t total = 0;    // 0 when unknown
  Progress* progress = nullptr;
  std::string what;
  int responses = 0;
  std::string linked_etag, first_etag;
  std::string content_range;
  bool began = false;
  bool too_large = false, disk_failed = false, wrong_range = false;
};

size_t on_header(char* data, size_t one, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, one * size);
  if (line.starts_with("HTTP/")) {
    ++transfer.responses;
    transfer.content_range.clear();
    return line.size();
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  const std::string_view name = line.substr(0, colon);
  const std::string value = trimmed(line.substr(colon + 1), " \t\r\n");
  if (equal_ignoring_case(name, "x-linked-etag")) transfer.linked_etag = without_quotes(value);
  // Behind a redirection stands another server, whose ETag follows its own rules.
  if (equal_ignoring_case(name, "etag") && transfer.responses == 1)
    transfer.first_etag = without_quotes(value);
  if (equal_ignoring_case(name, "content-range")) transfer.content_range = value;
  return line.size();
}

/// Settles, at the first byte, whether the server continues the file or sends it from the beginning.
bool begin_file(Transfer& transfer) {
  long status = 0;
  curl_off_t length = -1;
  curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(transfer.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (status == 206) {
    unsigned long long first = 0, last = 0, total = 0;
    const int fields =
        std::sscanf(transfer.content_range.c_str(), "bytes %llu-%llu/%llu", &first, &last, &total);
    if (fields < 2 || first != transfer.offset) {
      transfer.wrong_range = true;
      return false;
    }
    transfer.total = fields == 3 ? total : 0;
    transfer.written = transfer.offset;
  } else {
    if (freopen(transfer.file_path.c_str(), "wb", transfer.file) == nullptr) return false;
    transfer.written = 0;
    transfer.total = length > 0 ? static_cast<uint64_t>(length) : 0;
  }
  transfer.began = true;
  transfer.progress->start(transfer.what, transfer.total, "B");
  return true;
}

size_t on_data(char* data, size_t one, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = one * size;
  long status = 0;
  curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  if (transfer.file == nullptr || status >= 300) {  // the page that comes with an error is no content
    if (transfer.body.size() + bytes > kLargestAnswer) {
      transfer.too_large = true;
      return 0;
    }
    transfer.body.append(data, bytes);
    return bytes;
  }
  if (!transfer.began && !begin_file(transfer)) return 0;
  if (std::fwrite(data, 1, bytes, transfer.file) != bytes) {
    transfer.disk_failed = true;
    return 0;
  }
  transfer.written += bytes;
  return bytes;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.progress != nullptr && transfer.began) transfer.progress->advance(transfer.written);
  return interrupt_requested() ? 1 : 0;
}

struct CurlHandle {
  CURL* curl = curl_easy_init();
  curl_slist* headers = nullptr;
  CurlHandle() {
    if (curl == nullptr) throw std::bad_alloc();
  }
  ~CurlHandle() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }
  CurlHandle(const CurlHandle&) = delete;
  CurlHandle& operator=(const CurlHandle&) = delete;
};

/// Performs; returns the HTTP status, 0 when the transfer itself failed with `reason`.
long perform(const HttpRequest& request, Transfer& transfer, std::string& reason) {
  CurlHandle handle;
  CURL* curl = handle.curl;
  transfer.curl = curl;
  char message[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 8L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "martlet");
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  if (!request.bearer.empty()) {
    // libcurl keeps this header from other hosts after a redirection.
    handle.headers = curl_slist_append(nullptr, ("Authorization: Bearer " + request.bearer).c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, handle.headers);
  }
  const std::string range = fmt::format("{}-", transfer.offset);
  if (transfer.offset > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
  const CURLcode code = curl_easy_perform(curl);
  throw_if_interrupted();
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (code == CURLE_OK) return status;
  reason = message[0] != '\0' ? message : curl_easy_strerror(code);
  return 0;
}

[[noreturn]] void refuse(const HttpRequest& request, long status) {
  if (status == 401 || status == 403)
    bad_input("{}: access refused (HTTP {}); set HF_TOKEN to a token that may read it", request.url, status);
  if (status == 404) bad_input("{}: not found; check the name", request.url);
  failed("{}: the server answered HTTP {}; try again later", request.url, status);
}

void initialise_curl() {
  // Once a process, before any transfer; guarded by the language.
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) failed("libcurl cannot start: {}", curl_easy_strerror(code));
}

uint64_t size_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

}  // namespace

std::string http_get(const HttpRequest& request) {
  initialise_curl();
  Transfer transfer;
  std::string reason;
  const long status = perform(request, transfer, reason);
  if (transfer.too_large) bad_input("{}: the answer is larger than 64 MiB", request.url);
  if (status == 0) failed("{}: {}", request.url, reason);
  if (status >= 300) refuse(request, status);
  return std::move(transfer.body);
}

Download http_download(const HttpRequest& request, const std::string& path, std::string_view what,
                       Progress& progress) {
  initialise_curl();
  for (int fruitless = 0;;) {
    Transfer transfer;
    const uint64_t before = size_of(path);
    const File file(std::fopen(path.c_str(), "ab"));
    if (!file)
      fail(errno == ENOSPC || errno == EDQUOT ? ErrorCode::kExhausted : ErrorCode::kFailed,
           "{}: cannot be written: {}", path, std::strerror(errno));
    transfer.file = file.get();
    transfer.file_path = path;
    transfer.offset = before;
    transfer.progress = &progress;
    transfer.what = what;
    std::string reason;
    const long status = perform(request, transfer, reason);
    if (std::fflush(file.get()) != 0) transfer.disk_failed = true;
    if (transfer.disk_failed)
      fail(ErrorCode::kExhausted, "{}: cannot be written ({}); make room and pull again, it resumes", path,
           std::strerror(errno));
    const uint64_t now = size_of(path);
    const std::string etag = transfer.linked_etag.empty() ? transfer.first_etag : transfer.linked_etag;
    // Nothing is left after the last byte we have, or the file there is another one.
    if (status == 416 || transfer.wrong_range) {
      unsigned long long total = 0;
      if (std::sscanf(transfer.content_range.c_str(), "bytes */%llu", &total) == 1 && total == before)
        return {before, etag};
      if (::truncate(path.c_str(), 0) != 0 || before == 0) refuse(request, status);
      continue;
    }
    if (status >= 300) refuse(request, status);
    if (status != 0 && (transfer.total == 0 || now == transfer.total || !transfer.began)) return {now, etag};
    fruitless = now > before ? 0 : fruitless + 1;
    if (fruitless >= kFruitlessAttempts)
      failed("{}: {}; what came so far is kept, pull again to resume", request.url,
             reason.empty() ? "the connection was cut" : reason);
  }
}

}  // namespace martlet::cli
