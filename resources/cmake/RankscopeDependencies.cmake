# SPDX-License-Identifier: Apache-2.0
# Everything the project takes from outside, found once. `./setup` installs it.

find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)

pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)

# Module mode before gRPC's own config, so that both speak of the same protobuf targets.
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# VTK brings the MPI build of HDF5 along: name the serial one, and before VTK is looked for.
set(HDF5_PREFER_PARALLEL FALSE)
set(HDF5_ROOT "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/hdf5/serial")
find_package(HDF5 1.10 REQUIRED COMPONENTS C HL)

include(LibTorch)

if(RANKSCOPE_WORKBENCH)
  find_package(Qt6 6.4 REQUIRED COMPONENTS Core Gui Widgets Charts Svg SvgWidgets OpenGL OpenGLWidgets Test)
  find_package(VTK 9.1 REQUIRED COMPONENTS CommonCore CommonDataModel FiltersCore FiltersSources RenderingCore
    RenderingOpenGL2 RenderingFreeType RenderingAnnotation InteractionStyle)
endif()

if(RANKSCOPE_TESTS)
  find_package(GTest REQUIRED)
  find_library(RAPIDCHECK_LIBRARY rapidcheck REQUIRED)
  find_path(RAPIDCHECK_INCLUDE rapidcheck.h REQUIRED)
  add_library(rapidcheck INTERFACE)
  target_link_libraries(rapidcheck INTERFACE "${RAPIDCHECK_LIBRARY}")
  target_include_directories(rapidcheck SYSTEM INTERFACE "${RAPIDCHECK_INCLUDE}")
  find_package(benchmark)
endif()
