#include "hub_server.h"

#include <cstdio>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace martlet::cli {

HubServer::HubServer() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(place);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&place), size) != 0 || listen(listener_, 8) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&place), &size) != 0)
    throw std::runtime_error("no loopback server");
  port_ = ntohs(place.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HubServer::~HubServer() {
  stop_ = true;
  thread_.join();
  close(listener_);
}

void HubServer::put(const std::string& path, File file) {
  const std::lock_guard lock(mutex_);
  files_[path] = std::move(file);
}

std::vector<std::string> HubServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HubServer::serve() {
  while (!stop_) {
    pollfd waiting{listener_, POLLIN, 0};
    if (poll(&waiting, 1, 20) <= 0) continue;
    const int connection = accept(listener_, nullptr, nullptr);
    if (connection < 0) continue;
    answer(connection);
    close(connection);
  }
}

void HubServer::answer(int connection) {
  std::string head;
  char buffer[4096];
  while (head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t got = recv(connection, buffer, sizeof(buffer), 0);
    if (got <= 0) return;
    head.append(buffer, static_cast<size_t>(got));
  }
  const std::lock_guard lock(mutex_);
  requests_.push_back(head);
  const std::string path = head.substr(4, head.find(' ', 4) - 4);
  const auto found = files_.find(path);
  std::string answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  if (found != files_.end()) {
    File& file = found->second;
    size_t begin = 0;
    const size_t range = head.find("Range: bytes=");
    const bool partial = file.ranges && range != std::string::npos;
    if (partial) begin = std::stoul(head.substr(range + 13));
    if (begin >= file.content.size() && begin > 0) {
      answer = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */" +
               std::to_string(file.content.size()) + "\r\nContent-Length: 0\r\nConnection: close\r\n";
    } else {
      answer = partial ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n";
      if (partial)
        answer += "Content-Range: bytes " + std::to_string(begin) + "-" +
                  std::to_string(file.content.size() - 1) + "/" + std::to_string(file.content.size()) +
                  "\r\n";
      answer +=
          "Content-Length: " + std::to_string(file.content.size() - begin) + "\r\nConnection: close\r\n";
    }
    if (!file.etag.empty()) answer += "ETag: \"" + file.etag + "\"\r\n";
    if (!file.linked_etag.empty()) answer += "X-Linked-ETag: \"" + file.linked_etag + "\"\r\n";
    answer += "\r\n";
    if (begin < file.content.size()) {
      size_t length = file.content.size() - begin;
      if (file.cuts > 0) {
        --file.cuts;
        length /= 2;
      }
      answer += file.content.substr(begin, length);
    }
  }
  for (size_t sent = 0; sent < answer.size();) {
    const ssize_t now = send(connection, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
    if (now <= 0) return;
    sent += static_cast<size_t>(now);
  }
  shutdown(connection, SHUT_WR);
}

}  // namespace martlet::cli
