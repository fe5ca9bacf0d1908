/**
 * Items by key, in the order in which keys appear: `Map.groupBy`, which Node 20 has not.
 * @example
 * const rows = groupBy(comparison.results, (result) => result.scenario);
 * rows.get("S02a")?.map((result) => result.contract); // ["dma-address", "pfn"]
 */
export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
