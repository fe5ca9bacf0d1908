// What C does for the same work: the peer of the rows that say so. Every function takes a count and gives back a sum.
#include "napi.h"
#include <stdlib.h>

// A scatter list as kernels keep it: 32 bytes an entry, a page of 128 at a time, the last entry of a page links on.
struct segment {
  uintptr_t link;
  uint32_t offset, length;
  uint64_t dma_address;
  uint32_t dma_length, flags;
};

enum { PER_PAGE = 128, LAST = PER_PAGE - 1 };

static struct segment *new_page(void) { return calloc(PER_PAGE, sizeof(struct segment)); }

static struct segment *next_of(struct segment *s, int *i) {
  if (++*i < LAST) return s + 1;
  *i = 0;
  return (struct segment *)s[1].link;
}

static struct segment *build(uint32_t n, uint32_t together) {
  struct segment *head = new_page(), *page = head;
  for (uint32_t i = 0, at = 0; i < n; i++, at++) {
    if (at == LAST) {
      struct segment *more = new_page();
      page[LAST].link = (uintptr_t)more;
      page = more;
      at = 0;
    }
    page[at].dma_address = 0x100000000ull + (uint64_t)(i + i / together) * 4096;
    page[at].dma_length = 4096;
  }
  return head;
}

static void give_back(struct segment *page) {
  while (page) {
    struct segment *next = (struct segment *)page[LAST].link;
    free(page);
    page = next;
  }
}

static double iterate(struct segment *s, uint32_t n) {
  double sum = 0;
  int at = 0;
  for (uint32_t i = 0; i < n; i++, s = next_of(s, &at)) sum += s->dma_address + s->dma_length;
  return sum;
}

static double coalesce(struct segment *s, uint32_t n) {
  struct segment *out = new_page(), *page = out, *last = NULL;
  uint32_t made = 0;
  int at = 0, to = -1;
  for (uint32_t i = 0; i < n; i++, s = next_of(s, &at)) {
    if (last && last->dma_address + last->dma_length == s->dma_address &&
        s->dma_length <= 0xfffff000u - last->dma_length) {
      last->dma_length += s->dma_length;
      continue;
    }
    if (++to == LAST) {
      struct segment *more = new_page();
      page[LAST].link = (uintptr_t)more;
      page = more;
      to = 0;
    }
    last = &page[to];
    last->dma_address = s->dma_address;
    last->dma_length = s->dma_length;
    made++;
  }
  give_back(out);
  return made;
}

// The list that iterate and coalesce read: made once.
static struct segment *kept;

static napi_value segments_build(napi_env env, napi_callback_info info) {
  struct segment *list = build(argument(env, info), 4);
  double first = list->dma_address;
  give_back(list);
  return number(env, first);
}

static napi_value segments_keep(napi_env env, napi_callback_info info) {
  give_back(kept);
  kept = build(argument(env, info), 4);
  return number(env, 0);
}

static napi_value segments_iterate(napi_env env, napi_callback_info info) {
  return number(env, iterate(kept, argument(env, info)));
}

static napi_value segments_coalesce(napi_env env, napi_callback_info info) {
  return number(env, coalesce(kept, argument(env, info)));
}

void page_table_exports(napi_env env, napi_value exports);

NAPI_MODULE_INIT() {
  EXPORT(segments_build);
  EXPORT(segments_keep);
  EXPORT(segments_iterate);
  EXPORT(segments_coalesce);
  page_table_exports(env, exports);
  return exports;
}
