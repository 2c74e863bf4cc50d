# `cmake --install` gives the program, the library with its headers, and what find_package(Martlet) needs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
install(TARGETS martlet_library EXPORT MartletTargets)
install(TARGETS martlet)
# Left out: the program, kernels, and of `text` all but its two entrances. tests/install proves that nothing is missed.
install(DIRECTORY src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/martlet FILES_MATCHING PATTERN "*.h"
        PATTERN "cli" EXCLUDE PATTERN "cpu" EXCLUDE PATTERN "packed" EXCLUDE PATTERN "text" EXCLUDE)
install(FILES src/text/tokenizer.h src/text/chat_template.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/martlet/text)
install(EXPORT MartletTargets NAMESPACE Martlet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Martlet)
configure_package_config_file(cmake/MartletConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/MartletConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Martlet)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/MartletConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/MartletConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/MartletConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Martlet)
