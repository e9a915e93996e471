# SPDX-License-Identifier: Apache-2.0
# LibTorch as imported targets, from the site-packages folder of any Python environment that holds torch.
# Torch's own CMake package is not used: it asks for a CUDA toolkit and a hard dependency on libtorch_cuda.so, which
# a machine without a GPU need not have. The worker opens the CUDA library at run time where there is a GPU.

set(LIBTORCH_SITE "$ENV{RANKSCOPE_LIBTORCH}" CACHE PATH "Folder that holds torch/ (a site-packages folder)")
if(NOT LIBTORCH_SITE)
  set(LIBTORCH_SITE "${PROJECT_SOURCE_DIR}/.deps/libtorch")
endif()
set(_torch "${LIBTORCH_SITE}/torch")
if(NOT EXISTS "${_torch}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "LibTorch was not found: ${_torch}/lib/libtorch_cpu.so does not exist. "
    "Run ./setup, or set RANKSCOPE_LIBTORCH to the site-packages folder of an environment that has torch.")
endif()
file(GLOB _cuda_lib LIST_DIRECTORIES true "${LIBTORCH_SITE}/nvidia/cu1*/lib")

# Only these three: the wheel's include/ also carries an older protobuf, fmt and others, which shadow the system's.
set(_include "${CMAKE_BINARY_DIR}/libtorch-include")
file(MAKE_DIRECTORY "${_include}")
foreach(_folder ATen c10 torch)
  file(CREATE_LINK "${_torch}/include/${_folder}" "${_include}/${_folder}" SYMBOLIC)
endforeach()

set(_rpath_link "${_torch}/lib")
if(_cuda_lib)
  string(APPEND _rpath_link ":${_cuda_lib}")
endif()
add_library(libtorch::c10 SHARED IMPORTED GLOBAL)
set_target_properties(libtorch::c10 PROPERTIES
  IMPORTED_LOCATION "${_torch}/lib/libc10.so"
  INTERFACE_INCLUDE_DIRECTORIES "${_include};${_include}/torch/csrc/api/include")
add_library(libtorch::cpu SHARED IMPORTED GLOBAL)
set_target_properties(libtorch::cpu PROPERTIES
  IMPORTED_LOCATION "${_torch}/lib/libtorch_cpu.so"
  IMPORTED_LINK_DEPENDENT_LIBRARIES "libtorch::c10"
  INTERFACE_COMPILE_FEATURES cxx_std_17
  INTERFACE_LINK_LIBRARIES "libtorch::c10;Threads::Threads"
  INTERFACE_LINK_OPTIONS "LINKER:-rpath-link,${_rpath_link}")

# LibTorch's own OpenMP runtime: with the compiler's beside it, two pools of threads would compete for the cores.
add_library(libtorch::openmp SHARED IMPORTED GLOBAL)
set_target_properties(libtorch::openmp PROPERTIES
  IMPORTED_LOCATION "${_torch}/lib/libgomp.so.1"
  INTERFACE_COMPILE_OPTIONS "$<$<COMPILE_LANGUAGE:CXX>:-fopenmp>")
