// Ownership of libuv handles, solved once: a handle's memory is libuv's until its close callback, so it is owned apart
// from the object that uses it, and freed by that callback.
//
// After uv_close no handle callback runs any more, but pending requests still do, with UV_ECANCELED: a request owns
// what libuv reads, and reaches its object by owner_of(request->handle), which is null once the owner is gone.
#pragma once

#include <uv.h>

#include <memory>

#include "util/error.h"

namespace twinspool::net {

struct UvClose {
  template <class Handle>
  void operator()(Handle* handle) const {
    handle->data = nullptr;  // from here on nobody is home
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
  }
};

template <class Handle>
using UvPtr = std::unique_ptr<Handle, UvClose>;

// `init` calls the uv_*_init of the handle; it fails only for lack of memory or descriptors at start.
template <class Handle, class Owner, class Init>
UvPtr<Handle> make_uv(Owner* owner, Init init) {
  auto handle = std::make_unique<Handle>();
  ENSURE(init(handle.get()) == 0);
  handle->data = owner;
  return UvPtr<Handle>(handle.release());
}

template <class Owner, class Handle>
Owner* owner_of(const Handle* handle) {
  return static_cast<Owner*>(handle->data);
}

}  // namespace twinspool::net
