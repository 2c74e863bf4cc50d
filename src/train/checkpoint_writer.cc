#include "train/checkpoint_writer.h"

#include <chrono>
#include <filesystem>
#include <new>
#include <system_error>

#include "train/checkpoint.h"

namespace martlet::train {
namespace {

/// Whatever is thrown, as a value that another thread may read.
template <typename Action>
std::optional<Error> error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kExhausted, "out of memory");
  } catch (const std::filesystem::filesystem_error& error) {
    const bool full = error.code() == std::errc::no_space_on_device;
    return Error(full ? ErrorCode::kExhausted : ErrorCode::kFailed, error.what());
  } catch (const std::exception& error) {
    return Error(ErrorCode::kFailed, error.what());
  }
  return std::nullopt;
}

}  // namespace

void CheckpointWriter::wait() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::start(Snapshot snapshot, std::string best) {
  wait();
  snapshot_ = std::move(snapshot);
  best_ = std::move(best);
  told_ = false;
  busy_.store(true, std::memory_order_relaxed);
  try {
    thread_ = std::thread([this] { write(); });
  } catch (const std::system_error&) {
    write();  // no thread is to be had; training waits
  }
}

void CheckpointWriter::write() {
  const auto begin = std::chrono::steady_clock::now();
  result_ = {.step = snapshot_.step, .seconds = 0, .error = std::nullopt};
  result_.error = error_of([&] { write_checkpoint(run_, snapshot_); });
  snapshot_ = {};
  if (!result_.error) prune_checkpoints(run_, keep_, best_);
  result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  busy_.store(false, std::memory_order_release);
}

std::optional<CheckpointWriter::Result> CheckpointWriter::take_result() {
  if (told_ || busy()) return std::nullopt;
  told_ = true;
  return result_;
}

}  // namespace martlet::train
