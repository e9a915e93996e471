# SPDX-License-Identifier: Apache-2.0
# Headers that are compiled once for the many files that read them: JSON (2 of 4 seconds of a small file), LibTorch's
# tensors (4 of 6) and Qt's widgets. Tests that need JSON at most have one of their own, with GoogleTest and without
# optimisation, which would take most of their compile time; the work is done by the libraries.
option(RANKSCOPE_PRECOMPILED_HEADERS "Compile the headers that most files read once" ON)

function(_rankscope_precompiled_owner name)
  cmake_parse_arguments(arg "" "" "LINKS" ${ARGN})
  set(_source "${CMAKE_BINARY_DIR}/precompiled/${name}.cpp")
  file(CONFIGURE OUTPUT "${_source}" CONTENT "// Owns the precompiled header.\n")
  add_library(rankscope_precompiled_${name} OBJECT "${_source}")
  target_link_libraries(rankscope_precompiled_${name} PRIVATE rankscope_options ${arg_LINKS})
  target_precompile_headers(rankscope_precompiled_${name} PRIVATE
    "${PROJECT_SOURCE_DIR}/resources/cmake/precompiled/${name}.h")
endfunction()

if(RANKSCOPE_PRECOMPILED_HEADERS)
  _rankscope_precompiled_owner(json LINKS nlohmann_json::nlohmann_json tl::expected)
  target_compile_options(rankscope_precompiled_json PRIVATE -pthread)
  if(TARGET GTest::gtest)
    _rankscope_precompiled_owner(json_test LINKS nlohmann_json::nlohmann_json tl::expected GTest::gtest)
    target_compile_options(rankscope_precompiled_json_test PRIVATE -pthread $<$<CONFIG:Release>:-O0>)
  endif()
  _rankscope_precompiled_owner(tensor LINKS libtorch::cpu nlohmann_json::nlohmann_json tl::expected)
  if(RANKSCOPE_WORKBENCH)
    _rankscope_precompiled_owner(widgets LINKS Qt6::Widgets)
    target_compile_definitions(rankscope_precompiled_widgets PRIVATE QT_NO_KEYWORDS)
  endif()
endif()

# rankscope_precompile(target links...): lets a target that links to these use the header its layer reads most.
function(rankscope_precompile target)
  if("${ARGN}" MATCHES "rankscope::(kernels|model|adapter|analysis|train)")
    set(_header tensor)
  elseif("${ARGN}" MATCHES "Qt6::Widgets|rankscope::(workbench|plot|selection|view_)")
    set(_header widgets)
  elseif("${ARGN}" MATCHES "nlohmann_json|rankscope::(base|protocol|record|text|checkpoint|engine_client)")
    set(_header json)
    if("${ARGN}" MATCHES "GTest::")
      set(_header json_test)
    endif()
  endif()
  if(NOT _header OR NOT RANKSCOPE_PRECOMPILED_HEADERS)
    return()
  endif()
  # A header is compiled for one set of flags: no _EXPORTS macro, and the same position independence for programs as
  # for libraries.
  get_target_property(_type ${target} TYPE)
  set_target_properties(${target} PROPERTIES DEFINE_SYMBOL "")
  if(_type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
  if(_header MATCHES "^json") # gRPC brings this flag, which defines a macro, to those that use it
    target_compile_options(${target} PRIVATE -pthread)
  endif()
  if(_header STREQUAL json_test)
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O0>)
  endif()
  target_precompile_headers(${target} REUSE_FROM rankscope_precompiled_${_header})
endfunction()
