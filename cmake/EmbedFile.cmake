# embed_file(TARGET FILE NAME): compiles FILE into TARGET as `extern const std::string_view NAME` of namespace twinspool.
# A change of the file is seen by the next build.
function(embed_file target file name)
  get_filename_component(path ${file} ABSOLUTE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp CONTENT "#include <string_view>
namespace twinspool {
static constexpr unsigned char bytes[] = {@bytes@0};
extern const std::string_view @name@;
const std::string_view @name@{reinterpret_cast<const char*>(bytes), sizeof bytes - 1};
}
" @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
endfunction()
