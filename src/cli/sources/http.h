#pragma once

// What a hub needs of HTTP: one small answer in memory, one large file that resumes.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/progress.h"

namespace martlet::cli {

struct HttpRequest {
  std::string url;
  std::string bearer = {};  ///< sent to the first host only, never to one it redirects to; "" for none
};

/// The body of a GET; throws kFailed (network, status 5xx), kBadInput (401, 403, 404, more than 64 MiB) or
/// kInterrupted, each naming the address.
std::string http_get(const HttpRequest& request);

struct Download {
  uint64_t size = 0;
  /// What identifies the content, without quotes or a weak mark: X-Linked-ETag where given, else the first
  /// answer's ETag; "" when neither.
  std::string etag;
};

/// Continues the file at `path` from its present size, or begins it. What was written stays when the work is
/// cut. `what` names it to `progress`. Retries a cut connection as long as bytes still come. Throws as
/// `http_get`; kExhausted when the disk is full.
Download http_download(const HttpRequest& request, const std::string& path, std::string_view what,
                       Progress& progress);

}  // namespace martlet::cli
