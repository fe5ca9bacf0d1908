/** How long a thread may take. The one clock there is: code that does not yield cannot be stopped otherwise. */

/** So many times its patience is waited for a thread that does not run: the machine may be busy with other things. */
const STARVED_MAX = 10;

/**
 * Calls `onOut` when a thread has used its patience up. A loop does; a thread that other processes kept waiting has time
 * left, and who sleeps looks like that one.
 * @returns what ends the watch
 */
export function watchdog(patienceMs: number, onOut: () => void): () => void {
  const begun = process.cpuUsage();
  let looks = 0;
  const look = (): void => {
    const { user, system } = process.cpuUsage(begun);
    const isStarved = (user + system) / 1000 < patienceMs / 2 && ++looks < STARVED_MAX;
    if (isStarved) timer = setTimeout(look, patienceMs);
    else onOut();
  };
  let timer = setTimeout(look, patienceMs);
  return () => clearTimeout(timer);
}
