#include <cstdio>

int main() {
  std::fputs("martlet: no verb is built in yet\n", stderr);
  return 2;
}
