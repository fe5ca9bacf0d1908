// A plain page table in C, in the format of VT-d's second stage: 4 levels of 512 entries, of which level 0 maps 4 KiB.
// It writes the bits that the hardware reads and nothing else: no locks, no cache flushes, no counts of entries in use.
#include "napi.h"
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 512, PAGE = 4096, ROOT_LEVEL = 3, READ_WRITE = 3, LARGE = 0x80 };
enum { IN_USE = -1, NO_MEMORY = -2, MISALIGNED = -3 };

static const uint64_t IOVA_END = 1ull << 48, PHYS_END = 1ull << 52, ADDRESS = (1ull << 52) - PAGE;
// Where the hardware would see the pool: table i is at TABLES_AT + i * 4096.
static const uint64_t TABLES_AT = 1ull << 32;

struct table {
  uint64_t entry[ENTRIES];
};

// Table 0 is the root. Before pt_init there is an empty root and no memory for more.
static struct table no_pool;
static struct table *pool = &no_pool;
static uint32_t capacity, used;
// A bit for each table that is free. No word below `lowest` has one, so that tables are always handed out ascending:
// a map that writes its tables in descending order takes twice as long.
static uint64_t *free_tables;
static uint32_t lowest;

struct cached {
  uint64_t tag, pfn;
};

enum { CACHED = 4096 };
static struct cached tlb[CACHED];

static inline int shift_of(int level) { return 12 + 9 * level; }
static inline uint64_t span(int level) { return 1ull << shift_of(level); }
static inline uint32_t slot(uint64_t iova, int level) { return iova >> shift_of(level) & (ENTRIES - 1); }
static inline uint32_t table_index(uint64_t entry) { return (entry >> 12) - (TABLES_AT >> 12); }
static inline uint64_t *child(uint64_t entry) { return pool[table_index(entry)].entry; }

/** Memory that was written once, so that no page fault is timed; not zeros, as a page from a kernel is not. */
static void *warm(uint64_t bytes) {
  bytes = (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
  void *memory = aligned_alloc(PAGE, bytes);
  if (memory) memset(memory, 0xff, bytes);
  return memory;
}

/** Adds an empty table to a parent's entry. */
static int add_table(uint64_t *entry) {
  if (used >= capacity) return NO_MEMORY;
  while (!free_tables[lowest]) lowest++;
  uint32_t index = lowest * 64 + __builtin_ctzll(free_tables[lowest]);
  free_tables[lowest] &= free_tables[lowest] - 1;
  used++;
  memset(&pool[index], 0, sizeof(struct table));
  *entry = (TABLES_AT + (uint64_t)index * PAGE) | READ_WRITE;
  return 0;
}

static void free_table(uint64_t entry) {
  uint32_t index = table_index(entry), word = index / 64;
  free_tables[word] |= 1ull << index % 64;
  if (word < lowest) lowest = word;
  used--;
}

/** The table of a level for an address, with those above it that are missing; NULL and why where there can be none. */
static inline uint64_t *reach(uint64_t iova, int level, int *error) {
  uint64_t *table = pool->entry;
  for (int l = ROOT_LEVEL; l > level; l--) {
    uint64_t *entry = &table[slot(iova, l)];
    if (*entry & LARGE) *error = IN_USE;
    else if (!*entry) *error = add_table(entry);
    if (*error) return NULL;
    table = child(*entry);
  }
  return table;
}

/** Gives back the leaves written. An error leaves what was written before it, for the caller to unmap. */
static double map(uint64_t iova, uint64_t phys, uint64_t bytes, int level) {
  uint64_t step = span(level), pte = phys | READ_WRITE | (level ? LARGE : 0), end = iova + bytes;
  if ((iova | phys | bytes) & (step - 1)) return MISALIGNED;
  if (bytes > IOVA_END || iova > IOVA_END - bytes || phys > PHYS_END - bytes) return MISALIGNED;
  int error = 0;
  while (iova < end) {
    uint64_t *table = reach(iova, level, &error);
    if (!table) return error;
    uint64_t first = slot(iova, level), left = (end - iova) >> shift_of(level);
    uint64_t last = left < ENTRIES - first ? first + left : ENTRIES;
    for (uint64_t i = first; i < last; i++, pte += step) {
      if (table[i]) return IN_USE;
      table[i] = pte;
    }
    iova += (last - first) << shift_of(level);
  }
  return bytes >> shift_of(level);
}

static __attribute__((noinline)) int map_page(uint64_t iova, uint64_t phys) {
  if ((iova | phys) & (PAGE - 1) || iova >= IOVA_END || phys >= PHYS_END) return MISALIGNED;
  int error = 0;
  uint64_t *table = reach(iova, 0, &error);
  if (!table) return error;
  uint64_t *entry = &table[slot(iova, 0)];
  if (*entry) return IN_USE;
  *entry = phys | READ_WRITE;
  return 0;
}

static uint64_t clear_pages(uint64_t *table, uint64_t at, uint64_t end) {
  for (uint64_t *entry = &table[slot(at, 0)]; at < end && *entry; at += PAGE) *entry++ = 0;
  return at;
}

/** Gives back where it stopped: `end`, or the first hole, or a leaf of which the range covers only a part. */
static uint64_t clear(uint64_t *table, int level, uint64_t at, uint64_t end) {
  if (level == 0) return clear_pages(table, at, end);
  while (at < end) {
    uint64_t *entry = &table[slot(at, level)], next = (at | (span(level) - 1)) + 1, stop = next < end ? next : end;
    int whole = stop - at == span(level);
    if (!*entry) return at;
    if (!(*entry & LARGE)) {
      uint64_t reached = clear(child(*entry), level - 1, at, stop);
      if (reached < stop) return reached;
      if (whole) free_table(*entry);
    } else if (!whole) return at;
    if (whole) *entry = 0;
    at = stop;
  }
  return end;
}

static __attribute__((noinline)) double unmap(uint64_t iova, uint64_t bytes) {
  if ((iova | bytes) & (PAGE - 1) || bytes > IOVA_END || iova > IOVA_END - bytes) return MISALIGNED;
  return clear(pool->entry, ROOT_LEVEL, iova, iova + bytes) - iova;
}

/** A walk written out for one page. Gives back the pages cleared. Tables stay: a page is never all that one covers. */
static __attribute__((noinline)) int unmap_page(uint64_t iova) {
  if (iova & (PAGE - 1) || iova >= IOVA_END) return MISALIGNED;
  uint64_t *table = pool->entry;
  for (int level = ROOT_LEVEL; level > 0; level--) {
    uint64_t entry = table[slot(iova, level)];
    if (!entry || entry & LARGE) return 0;
    table = child(entry);
  }
  uint64_t *entry = &table[slot(iova, 0)];
  if (!*entry) return 0;
  *entry = 0;
  return 1;
}

/** The physical address, 0 where nothing is mapped. */
static __attribute__((noinline)) uint64_t translate(uint64_t iova) {
  if (iova >= IOVA_END) return 0;
  uint64_t *table = pool->entry;
  for (int level = ROOT_LEVEL;; level--) {
    uint64_t entry = table[slot(iova, level)], inside = span(level) - 1;
    if (!entry) return 0;
    if (level == 0 || entry & LARGE) return (entry & ADDRESS & ~inside) | (iova & inside);
    table = child(entry);
  }
}

/** Nothing here tells the cache of an unmap: whoever unmaps flushes it. */
static __attribute__((noinline)) uint64_t translate_cached(uint64_t iova) {
  struct cached *line = &tlb[(iova >> 12) % CACHED];
  if (line->tag != iova >> 12) {
    uint64_t phys = translate(iova);
    if (!phys) return 0;
    *line = (struct cached){iova >> 12, phys >> 12};
  }
  return line->pfn << 12 | (iova & (PAGE - 1));
}

/** The raw entry of a level, 0 where there is no table of that level. */
static uint64_t raw_entry(uint64_t iova, int level) {
  uint64_t *table = pool->entry;
  if (iova >= IOVA_END) return 0;
  for (int l = ROOT_LEVEL; l > level; l--) {
    uint64_t entry = table[slot(iova, l)];
    if (!entry || entry & LARGE) return 0;
    table = child(entry);
  }
  return table[slot(iova, level)];
}

/** What no page table can be faster than: the same entries, stored one after the other into one buffer. */
static __attribute__((noinline)) void store(uint64_t *p, uint64_t n, uint64_t pte) {
  for (uint64_t i = 0; i < n; i++, pte += PAGE) p[i] = pte;
}

/** Reads whole numbers up to 2^53; a negative one becomes too large for any address, and is refused as such. */
static void integers(napi_env env, napi_callback_info info, size_t count, uint64_t *out) {
  napi_value values[4];
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  for (size_t i = 0; i < count; i++) {
    int64_t value = 0;
    napi_get_value_int64(env, values[i], &value);
    out[i] = value;
  }
}

/** Reads `count` Float64Arrays and then n, which is cut to the shortest of them. */
static uint32_t arrays(napi_env env, napi_callback_info info, size_t count, double **out) {
  napi_value values[4];
  size_t given = count + 1;
  uint32_t n = 0;
  napi_get_cb_info(env, info, &given, values, NULL, NULL);
  napi_get_value_uint32(env, values[count], &n);
  for (size_t i = 0; i < count; i++) {
    napi_typedarray_type type;
    size_t length;
    void *data;
    napi_status status = napi_get_typedarray_info(env, values[i], &type, &length, &data, NULL, NULL);
    if (status != napi_ok || type != napi_float64_array) return 0;
    if (length < n) n = length;
    out[i] = data;
  }
  return n;
}

/** Through int64_t, which is one instruction and keeps a negative number too large. */
static inline uint64_t address(double value) { return (int64_t)value; }

static napi_value pt_store_loop(napi_env env, napi_callback_info info) {
  static uint64_t *kept;
  static uint32_t room;
  uint32_t n = argument(env, info);
  if (n > room) {
    free(kept);
    kept = warm(n * sizeof *kept);
    room = kept ? n : 0;
    if (!kept) return number(env, NO_MEMORY);
  }
  store(kept, n, TABLES_AT | READ_WRITE);
  return number(env, n ? kept[n - 1] : 0);
}

static napi_value pt_tlb_flush(napi_env env, napi_callback_info info) {
  memset(tlb, 0xff, sizeof tlb);
  return number(env, 0);
}

static napi_value pt_init(napi_env env, napi_callback_info info) {
  uint32_t tables = argument(env, info), words = tables / 64 + 1;
  if (pool != &no_pool) free(pool);
  free(free_tables);
  pt_tlb_flush(env, info);
  pool = tables ? warm(tables * sizeof(struct table)) : NULL;
  free_tables = warm(words * sizeof *free_tables);
  used = lowest = 0;
  capacity = pool && free_tables ? tables : 0;
  if (!capacity) {
    free(pool);
    pool = &no_pool;
    return number(env, NO_MEMORY);
  }
  uint64_t root;
  add_table(&root);
  return number(env, capacity);
}

static napi_value pt_tables(napi_env env, napi_callback_info info) { return number(env, used); }

static napi_value pt_map(napi_env env, napi_callback_info info) {
  uint64_t in[4] = {0};
  integers(env, info, 4, in);
  int level = in[3] == 12 ? 0 : in[3] == 21 ? 1 : in[3] == 30 ? 2 : -1;
  return number(env, level < 0 ? MISALIGNED : map(in[0], in[1], in[2], level));
}

static napi_value pt_unmap(napi_env env, napi_callback_info info) {
  uint64_t in[2] = {0};
  integers(env, info, 2, in);
  return number(env, unmap(in[0], in[1]));
}

static napi_value pt_map_each(napi_env env, napi_callback_info info) {
  double *in[2];
  uint32_t n = arrays(env, info, 2, in);
  for (uint32_t i = 0; i < n; i++) {
    int error = map_page(address(in[0][i]), address(in[1][i]));
    if (error) return number(env, error);
  }
  return number(env, n);
}

/** Ranges of 4 KiB leaves: addresses, physical addresses, bytes. */
static napi_value pt_map_ranges(napi_env env, napi_callback_info info) {
  double *in[3], leaves = 0;
  uint32_t n = arrays(env, info, 3, in);
  for (uint32_t i = 0; i < n; i++) {
    double mapped = map(address(in[0][i]), address(in[1][i]), address(in[2][i]), 0);
    if (mapped < 0) return number(env, mapped);
    leaves += mapped;
  }
  return number(env, leaves);
}

static napi_value pt_unmap_each(napi_env env, napi_callback_info info) {
  double *iovas, pages = 0;
  uint32_t n = arrays(env, info, 1, &iovas);
  for (uint32_t i = 0; i < n; i++) {
    int cleared = unmap_page(address(iovas[i]));
    if (cleared < 0) return number(env, cleared);
    pages += cleared;
  }
  return number(env, pages);
}

static inline napi_value sum(napi_env env, napi_callback_info info, uint64_t (*lookup)(uint64_t)) {
  double *iovas, result = 0;
  uint32_t n = arrays(env, info, 1, &iovas);
  for (uint32_t i = 0; i < n; i++) result += (int64_t)lookup(address(iovas[i]));
  return number(env, result);
}

static napi_value pt_translate(napi_env env, napi_callback_info info) { return sum(env, info, translate); }

static napi_value pt_translate_tlb(napi_env env, napi_callback_info info) { return sum(env, info, translate_cached); }

static napi_value pt_entry(napi_env env, napi_callback_info info) {
  uint64_t in[2] = {0};
  napi_value result;
  integers(env, info, 2, in);
  napi_create_bigint_uint64(env, in[1] > ROOT_LEVEL ? 0 : raw_entry(in[0], in[1]), &result);
  return result;
}

void page_table_exports(napi_env env, napi_value exports) {
  EXPORT(pt_store_loop);
  EXPORT(pt_init);
  EXPORT(pt_tables);
  EXPORT(pt_map);
  EXPORT(pt_unmap);
  EXPORT(pt_map_each);
  EXPORT(pt_map_ranges);
  EXPORT(pt_unmap_each);
  EXPORT(pt_translate);
  EXPORT(pt_translate_tlb);
  EXPORT(pt_tlb_flush);
  EXPORT(pt_entry);
}
