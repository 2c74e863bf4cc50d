#pragma once

// A server on the loopback with a hub's paths, for one test: it can cut connections and forget Range. It
// stops when it is destroyed.

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace martlet::cli {

class HubServer {
 public:
  struct File {
    std::string content;
    std::string etag = {};         ///< sent as ETag
    std::string linked_etag = {};  ///< sent as X-Linked-ETag
    int cuts = 0;                  ///< so many answers end half-way through what was asked for
    bool ranges = true;            ///< honours Range
  };

  HubServer();
  ~HubServer();
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void put(const std::string& path, File file);
  /// Requests so far, each head whole.
  std::vector<std::string> requests() const;

 private:
  void serve();
  void answer(int connection);

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::map<std::string, File> files_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace martlet::cli
