// The little of N-API that the C baselines share.
#pragma once
#include <node_api.h>
#include <stdint.h>

/** The one argument of a function that takes a count. */
static inline uint32_t argument(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  uint32_t n = 0;
  napi_get_cb_info(env, info, &count, &value, NULL, NULL);
  napi_get_value_uint32(env, value, &n);
  return n;
}

static inline napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

#define EXPORT(name)                                                        \
  do {                                                                      \
    napi_value f;                                                           \
    napi_create_function(env, #name, NAPI_AUTO_LENGTH, name, NULL, &f);     \
    napi_set_named_property(env, exports, #name, f);                        \
  } while (0)
