/**
 * Calls every waker, and then throws what the first of them threw: one that fails keeps no other asleep.
 * @example
 * wakeAll([() => console.log("reader"), () => console.log("writer")]);
 */
export function wakeAll(wakes: readonly (() => void)[]): void {
  const thrown: unknown[] = [];
  for (const wake of wakes)
    try {
      wake();
    } catch (error) {
      thrown.push(error);
    }
  if (thrown.length > 0) throw thrown[0];
}
