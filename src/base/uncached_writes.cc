#include "base/uncached_writes.h"

namespace martlet {
namespace {

thread_local int scopes = 0;

}  // namespace

UncachedWrites::UncachedWrites() {
  ++scopes;
}

UncachedWrites::~UncachedWrites() {
  --scopes;
}

bool UncachedWrites::wanted() {
  return scopes > 0;
}

}  // namespace martlet
