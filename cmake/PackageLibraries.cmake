# Which form of the C++ libraries is linked: Debian's shared ones, or, with TWINSPOOL_PACKAGE, what makes one binary package for
# Debian 12 and 13, between which their names change (libfmt9 and libfmt10, ...): headers where a library has that form, the
# static library of yaml-cpp, and simdjson, which has neither, as a private copy beside the programs.
# Sets TWINSPOOL_FMT, TWINSPOOL_SPDLOG, TWINSPOOL_YAML; twinspool_program(TARGET DIRECTORY) installs a program.
if(TWINSPOOL_PACKAGE)
  set(TWINSPOOL_FMT fmt::fmt-header-only)
  set(TWINSPOOL_SPDLOG spdlog::spdlog_header_only)
  set(TWINSPOOL_YAML -l:libyaml-cpp.a)
  set(TWINSPOOL_PRIVATE_LIBDIR ${CMAKE_INSTALL_LIBDIR}/twinspool)
  get_target_property(simdjson_file simdjson::simdjson IMPORTED_LOCATION_RELWITHDEBINFO)
  if(NOT simdjson_file)
    get_target_property(simdjson_file simdjson::simdjson LOCATION)
  endif()
  get_filename_component(simdjson_file ${simdjson_file} REALPATH)
  string(REGEX REPLACE "\\.so\\.([0-9]+).*" ".so.\\1" simdjson_name ${simdjson_file})
  get_filename_component(simdjson_name ${simdjson_name} NAME)
  install(FILES ${simdjson_file} DESTINATION ${TWINSPOOL_PRIVATE_LIBDIR} RENAME ${simdjson_name})
else()
  set(TWINSPOOL_FMT fmt::fmt)
  set(TWINSPOOL_SPDLOG spdlog::spdlog)
  set(TWINSPOOL_YAML yaml-cpp)
endif()

function(twinspool_program target directory)
  if(TWINSPOOL_PACKAGE)
    set_target_properties(${target} PROPERTIES INSTALL_RPATH ${CMAKE_INSTALL_PREFIX}/${TWINSPOOL_PRIVATE_LIBDIR})
  endif()
  install(TARGETS ${target} DESTINATION ${directory})
endfunction()
