# Writes OUTPUT, a source with the version and the commit of SOURCE, when they are others than it holds. Run at every build.
set(text "${VERSION}")
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=10 --exclude=*
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
# An archive has no commit, and may lie in another project's clone.
if(status EQUAL 0 AND EXISTS ${SOURCE}/.git)
  string(APPEND text " (${commit})")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "cli/version.h"

namespace martlet::cli {

std::string_view code_version() {
  return "@text@";
}

}  // namespace martlet::cli
]])
