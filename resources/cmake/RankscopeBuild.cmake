# SPDX-License-Identifier: Apache-2.0
# How every target of this project is compiled, and rankscope_library(), which states a library's layer.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET default)
set(BUILD_SHARED_LIBS ON) # plugins and programs share one copy of the core libraries
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Precompiled headers are cached too: ccache needs to be told that their time stamps may be ignored.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${CCACHE_PROGRAM}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_library(rankscope_options INTERFACE)
target_include_directories(rankscope_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(rankscope_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wno-unused-parameter -fno-omit-frame-pointer>)
if(CMAKE_UNITY_BUILD)
  # Files compiled together are included ones: their anonymous namespaces look like a header's.
  target_compile_options(rankscope_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()
if(RANKSCOPE_WERROR)
  target_compile_options(rankscope_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(RANKSCOPE_SANITIZE)
  target_compile_options(rankscope_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${RANKSCOPE_SANITIZE}>)
  target_link_options(rankscope_options INTERFACE -fsanitize=${RANKSCOPE_SANITIZE})
endif()

# rankscope_library(NAME folder LINKS ... SOURCES ...): the library of one folder of core/, views/ or kernels/.
# Target rankscope_<name>, alias rankscope::<name>. LINKS state its layer; tests/unit/structure checks includes
# against them.
function(rankscope_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(rankscope_${name} ${arg_SOURCES})
  add_library(rankscope::${name} ALIAS rankscope_${name})
  set_target_properties(rankscope_${name} PROPERTIES OUTPUT_NAME rankscope-${name})
  target_link_libraries(rankscope_${name} PUBLIC rankscope_options ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
  rankscope_precompile(rankscope_${name} ${arg_LINKS})
endfunction()

