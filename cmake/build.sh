# Shared by ./martlet, ./test and bench/fuzz: the packages that must be there, and one build. To be sourced by bash, with
# `root` set to the top of the tree and `may_install` to yes or no. All they print goes to stderr.

say() { printf 'martlet: %s\n' "$*" >&2; }
give_up() {
  say "$*"
  exit 1
}

# Names, one a line, of the packages of group $1 that are not installed.
missing_packages() {
  local group name rest
  while read -r group name rest; do
    [[ $group == "$1" ]] || continue
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || printf '%s\n' "$name"
  done <"$root/cmake/packages.txt"
}

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  local command=(apt-get install -y -q --no-install-recommends "$@")
  [[ $(id -u) == 0 ]] || command -v sudo >/dev/null ||
    give_up "packages are missing and there is no sudo; as root run: ${command[*]}"
  say "installing the missing packages: $*"
  # The lists of a fresh system are empty or too old for what the servers have now.
  as_root env DEBIAN_FRONTEND=noninteractive "${command[@]}" </dev/null >&2 2>/dev/null && return
  as_root apt-get update -q </dev/null >&2 || say "the package lists could not be refreshed"
  as_root env DEBIAN_FRONTEND=noninteractive "${command[@]}" </dev/null >&2 ||
    give_up "the packages could not be installed; mend this and call again: ${command[*]}"
}

# Sees to it that the packages of the groups are there. Those of the group `speed` may be refused.
require_packages() {
  command -v dpkg-query >/dev/null || return 0 # no Debian: the build says what it lacks
  local group needed=() wanted=()
  for group in "$@"; do
    if [[ $group == speed ]]; then
      mapfile -t -O "${#wanted[@]}" wanted < <(missing_packages "$group")
    else
      mapfile -t -O "${#needed[@]}" needed < <(missing_packages "$group")
    fi
  done
  if [[ $may_install == yes ]]; then
    [[ ${#needed[@]} -eq 0 && ${#wanted[@]} -eq 0 ]] || install_packages "${needed[@]}" "${wanted[@]}"
  elif [[ ${#needed[@]} -gt 0 ]]; then
    give_up "these Debian packages are missing and --no-install was given: ${needed[*]}"
  fi
}

# Compilers at once: one a processor, as far as memory goes (the largest sources take about a gigabyte each).
build_jobs() {
  local processors gigabytes
  processors=$(nproc)
  gigabytes=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
  ((gigabytes < 1)) && gigabytes=1
  echo $((processors < gigabytes ? processors : gigabytes))
}

# build PRESET [-DNAME=VALUE...] [TARGET...]: configures when needed, then builds.
build() {
  local preset=$1 folder=$root/build/$1 options=() quiet=()
  shift
  while [[ ${1:-} == -D* ]]; do
    options+=("$1")
    shift
  done
  # A tree that was moved or copied remembers another place: start afresh.
  if ! grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$(cd "$root" && pwd -P)" "$folder/CMakeCache.txt"; then
    options+=(--fresh)
  fi
  if [[ ${#options[@]} -gt 0 || ! -f $folder/build.ninja ]]; then
    mkdir -p "$folder"
    (cd "$root" && cmake --preset "$preset" "${options[@]}") >"$folder/configure.log" 2>&1 </dev/null || {
      cat "$folder/configure.log" >&2
      give_up "the build could not be configured"
    }
  fi
  [[ -t 2 ]] || quiet=(--quiet)
  ninja -C "$folder" -j "$(build_jobs)" "${quiet[@]}" "$@" >&2 </dev/null || give_up "the build failed"
}
