// Counts what plugins do, from outside: nothing in an engine counts for this.

/** What is counted, by name. */
export class Counts {
  #n = new Map();

  add(name, by = 1) {
    this.#n.set(name, (this.#n.get(name) ?? 0) + by);
  }

  get(name) {
    return this.#n.get(name) ?? 0;
  }

  /** The sum of all whose name begins so. */
  sum(prefix) {
    let sum = 0;
    for (const [name, n] of this.#n) if (name.startsWith(prefix)) sum += n;
    return sum;
  }

  reset() {
    this.#n.clear();
  }
}

/** Every site at which a task can be suspended is counted, by its name: locks, flushes, kicks. */
export function countSites(scheduler, counts) {
  const spawn = scheduler.spawn.bind(scheduler);
  scheduler.spawn = (name, op) => spawn(name, seen(op, counts));
}

function* seen(op, counts) {
  try {
    for (let step = op.next(); ; step = op.next()) {
      if (step.done) return step.value;
      counts.add(`site ${step.value.site}`);
      yield step.value;
    }
  } finally {
    op.return(undefined);
  }
}

/** Stands where the trace stands, and keeps nothing. */
export function noTrace(scheduler) {
  return { scheduler, events: [], emit() {} };
}

/** What changed in the tables of a pool since it was asked last: entries that appeared, and entries that went. */
export function entryDiff({ words }) {
  const entries = new BigUint64Array(words.buffer, words.byteOffset, words.length / 2);
  let before = entries.slice();
  return () => {
    const changed = { written: 0, cleared: 0 };
    for (let i = 0; i < entries.length; i++) {
      if (entries[i] === before[i]) continue;
      if (entries[i] === 0n) changed.cleared++;
      else changed.written++;
    }
    before = entries.slice();
    return changed;
  };
}

/** Calls of the exporter's operations, its private ones too, and calls of the importer's invalidate. */
export function countCalls(framework, counts) {
  const exported = framework.export.bind(framework);
  framework.export = (info) => exported({ ...info, ops: watched(info.ops, counts) });
  const attach = framework.dynamicAttach.bind(framework);
  framework.dynamicAttach = (buf, device, importer, ...rest) =>
    attach(buf, device, importer && { ...importer, ops: heard(importer.ops, counts) }, ...rest);
}

function watched(ops, counts) {
  const wrap = (name, call) => (typeof call === "function" ? counted(call, ops, `asked ${name}`, counts) : call);
  const priv = ops.interfaces && new Map([...ops.interfaces].map(([key, call]) => [key, wrap("interface", call)]));
  const own = { interfaces: priv, mmap: ops.mmap && filling(wrap("mmap", ops.mmap), counts) };
  return new Proxy(ops, { get: (target, name) => own[name] ?? wrap(String(name), target[name]) });
}

/** A mapping is asked page by page, when it faults: by the handler that was left in it. */
function filling(mmap, counts) {
  return (buf, area) => {
    const result = mmap(buf, area);
    if (typeof result?.next === "function") throw new TypeError("mmap sleeps: count its faults behind it");
    if (area.fault) area.fault = counted(area.fault, area, "asked fault", counts);
    return result;
  };
}

/** @returns how many DMA mappings of the device there are, whoever made them */
export function countMappings({ dma }) {
  const { mapPhys, unmapPhys } = dma;
  let live = 0;
  dma.mapPhys = (...args) => {
    const address = mapPhys.apply(dma, args);
    live++;
    return address;
  };
  dma.unmapPhys = (...args) => {
    live--;
    return unmapPhys.apply(dma, args);
  };
  return () => live;
}

function counted(call, self, name, counts) {
  return (...args) => {
    counts.add(name);
    const result = call.apply(self, args);
    return name === "asked mapDmaBuf" ? listed(result, counts) : result;
  };
}

/** A list that an exporter made: how many entries it has. */
function listed(result, counts) {
  if (typeof result?.next === "function")
    return (function* () {
      return listed(yield* result, counts);
    })();
  let entries = 0;
  for (const _ of result.runs) entries++;
  counts.add("listed", entries);
  return result;
}

function heard(ops, counts) {
  if (!ops?.invalidateMappings) return ops;
  return { ...ops, invalidateMappings: counted(ops.invalidateMappings, ops, "told", counts) };
}
