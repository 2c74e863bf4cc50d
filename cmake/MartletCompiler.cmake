# One place for the language level, warnings, sanitizers, the compiler cache and the linker.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Werror)
# GCC 12 reports these falsely for std::string and std::variant at -O2 (GCC bugs 105329 and 105562).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized)
endif()
# Contraction of a*b+c is decided by the kernels (fused intrinsics), never by the optimiser: sums keep one order.
add_compile_options(-ffp-contract=off -fno-math-errno -fno-trapping-math)

if(MARTLET_SANITIZE)
  add_compile_options(-fsanitize=${MARTLET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MARTLET_SANITIZE})
endif()

# martlet_instruction_set_flags(files...): a kernel file's name ends with the instruction set it is compiled for.
function(martlet_instruction_set_flags)
  foreach(file IN LISTS ARGN)
    if(file MATCHES "_avx2\\.cc$")
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2")
    elseif(file MATCHES "_avx512\\.cc$")
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS
        "-mavx2;-mfma;-mf16c;-mbmi2;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl")
    elseif(file MATCHES "_(avx512vnni|amx)\\.cc$")
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS
        "-mavx2;-mfma;-mf16c;-mbmi2;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mavx512vbmi")
    elseif(file MATCHES "_avx512bf16\\.cc$")
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS
        "-mavx2;-mfma;-mf16c;-mbmi2;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16")
    endif()
    # GCC 12 takes the undefined operand inside its own AVX-512 intrinsics for an uninitialised variable (its bug 105593).
    if(file MATCHES "_(avx512[a-z0-9]*|amx)\\.cc$" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS "-Wno-uninitialized;-Wno-maybe-uninitialized")
    endif()
  endforeach()
endfunction()
