#include "formats/testing.h"

#include <cstdlib>
#include <unistd.h>

namespace martlet::formats {

TemporaryDirectory::TemporaryDirectory() {
  std::string form = (std::filesystem::temp_directory_path() / "martlet-formats-XXXXXX").string();
  if (::mkdtemp(form.data()) == nullptr) failed("no temporary directory can be made");
  path_ = form;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::put(std::string_view name, std::string_view content) const {
  const std::string path = *this / name;
  // Truncating a file that was just written would wait for the disk.
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "an error was expected";
  return {ErrorCode::kFailed, ""};
}

void expect_bad_input(const std::function<void()>& action, std::string_view part) {
  const Error error = error_of(action);
  const std::string_view message = error.what();
  EXPECT_EQ(error.code(), ErrorCode::kBadInput) << message;
  EXPECT_NE(message.find(part), std::string_view::npos) << "'" << part << "' is not in: " << message;
  EXPECT_LT(message.size(), 1000u);
  EXPECT_EQ(message.find('\n'), std::string_view::npos) << message;
}

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed) {
  Tensor tensor = Tensor::empty(shape, dtype);
  const Philox random(seed);
  std::byte* bytes = tensor.mutable_host_bytes();
  for (int64_t i = 0; i < tensor.byte_count(); ++i) {
    const uint32_t bits = random.bits(static_cast<uint64_t>(i));
    bytes[i] = static_cast<std::byte>(dtype == DType::kBool ? bits & 1u : bits & 255u);
  }
  return tensor;
}

void expect_same_bits(const Tensor& got, const Tensor& expected, std::string_view what) {
  ASSERT_EQ(got.to_string(), expected.to_string()) << what;
  std::vector<std::byte> a(static_cast<size_t>(got.byte_count()));
  std::vector<std::byte> b(a.size());
  got.copy_to(a);
  expected.copy_to(b);
  EXPECT_EQ(a, b) << what;
}

}  // namespace martlet::formats
