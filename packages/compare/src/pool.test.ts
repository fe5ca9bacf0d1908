/** The pool with threads that say what a test wants them to say, when it wants them to: none of them plays a cell. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import type { Lost, Plan } from "./messages.js";
import { compareInParallel, type OnResult, type PoolOptions } from "./pool.js";

const dir = mkdtempSync(join(tmpdir(), "pool-"));
afterAll(() => rmSync(dir, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A cell of ours, and one with a stranger in it. Results are texts here: the pool does not look at them. */
const OURS: Lost = null;
const THEIRS = { hung: "hung", gone: "gone" } as unknown as Lost;

/** More reports than Node hands over in one turn of its loop. */
const MANY = 1600;

let threads = 0;
const fresh = (ending: string): string => join(dir, `${threads++}${ending}`);

/** A thread that makes this plan, and does `onOrder` with each order. `isFirst`: no thread of this file came before. */
function threadOf(rows: Plan["rows"], onOrder: string, races: Plan["races"] = rows.map(() => false)): URL {
  const file = fresh(".mjs");
  const plan: Plan = { is: "plan", machine: "none", contracts: ["mine"], rows, races };
  writeFileSync(
    file,
    `import { existsSync, writeFileSync } from "node:fs";
import { workerData } from "node:worker_threads";
const { port } = workerData;
const was = ${JSON.stringify(`${file}.was`)};
const isFirst = !existsSync(was);
writeFileSync(was, "");
const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const until = (marker) => { while (!existsSync(marker)) wait(1); };
const rows = ${JSON.stringify(rows.map((row) => row.length))};
const end = () => port.postMessage({ is: "row-done" });
const ran = (row, cell) => port.postMessage({ is: "result", row, cell, result: row + "." + cell });
const rest = (row, from) => { for (let i = from; i < rows[row]; i++) ran(row, i); end(); };
port.on("message", ({ row, from }) => { ${onOrder} });
port.postMessage(${JSON.stringify(plan)});
`,
  );
  return pathToFileURL(file);
}

/** Somebody's code runs, so that all of it runs in threads: one. */
async function results(worker: URL, options: PoolOptions = {}, onResult?: OnResult): Promise<readonly unknown[]> {
  const request = { contractModules: ["mine.mjs"] };
  const comparison = await compareInParallel(request, onResult, { workers: 1, patienceMs: 60_000, ...options, worker });
  return comparison.results;
}

/** Keeps this thread from hearing anything. */
function deafUntil(isOver: () => boolean): void {
  while (!isOver());
}

const cells = (row: number, n: number): string[] => Array.from({ length: n }, (_, i) => `${row}.${i}`);

describe("a thread that is gone", () => {
  it("in a cell of somebody's loses that cell: another goes on after it", async () => {
    const worker = threadOf(
      [[THEIRS, THEIRS, THEIRS]],
      "if (isFirst) { ran(row, 0); process.exit(); } rest(row, from);",
    );
    expect(await results(worker)).toEqual(["0.0", "gone", "0.2"]);
  });

  it("in a cell of ours loses none: another begins with it", async () => {
    const worker = threadOf([[THEIRS, OURS, THEIRS]], "if (isFirst) { ran(row, 0); process.exit(); } rest(row, from);");
    expect(await results(worker)).toEqual(cells(0, 3));
  });

  it("in a cell of ours is bad use, where the next one is gone there too", async () => {
    const worker = threadOf([[THEIRS, OURS]], "if (isFirst) ran(row, 0); process.exit();");
    await expect(results(worker)).rejects.toThrow(/^mine\.mjs: ended the thread that loaded it/);
  });

  it("before it has a plan is bad use", async () => {
    const file = fresh(".mjs");
    writeFileSync(file, "process.exit();");
    await expect(results(pathToFileURL(file))).rejects.toThrow(/^mine\.mjs: ended the thread that loaded it/);
  });

  /** The reports from the second on arrive in one go, and after them that the thread is gone. */
  async function manyFrom(rows: Plan["rows"], before: string): Promise<readonly unknown[]> {
    const gone = fresh(".gone");
    const onOrder = `if (!isFirst) return rest(row, from);
      for (let i = 0; i < ${MANY}; i++) ran(row, i);
      ${before} writeFileSync(${JSON.stringify(gone)}, ""); process.exit();`;
    let since = 0;
    return results(threadOf(rows, onOrder), {}, (_, done) => {
      if (done > 1) return;
      deafUntil(() => existsSync(gone));
      since = Date.now();
      // Its end is told a little later than its last word.
      deafUntil(() => Date.now() - since > 200);
    });
  }

  it("is heard to the end: its last cell is the one after all it has told of", async () => {
    expect(await manyFrom([Array.from({ length: MANY + 2 }, () => THEIRS)], "")).toEqual([
      ...cells(0, MANY),
      "gone",
      `0.${MANY + 1}`,
    ]);
  });

  it("and had ended its row gets no other, and loses no cell of it", async () => {
    const all = await manyFrom([Array.from({ length: MANY }, () => THEIRS), [THEIRS]], "end();");
    expect(all).toEqual([...cells(0, MANY), "1.0"]);
  });
});

describe("a thread that is late", () => {
  const cpuIs = (ms: number): void => {
    vi.spyOn(process, "cpuUsage").mockReturnValue({ user: ms * 1000, system: 0 });
  };

  it("has time left while other processes keep it waiting", async () => {
    const go = fresh(".go");
    let looks = 0;
    vi.spyOn(process, "cpuUsage").mockImplementation((begun) => {
      if (begun && ++looks === 3) writeFileSync(go, "");
      return { user: 0, system: 0 };
    });
    const worker = threadOf([[THEIRS]], `until(${JSON.stringify(go)}); rest(row, from);`);
    expect(await results(worker, { patienceMs: 500 })).toEqual(["0.0"]);
  });

  it("and never comes is lost, though nobody ran in the meantime", async () => {
    cpuIs(0);
    expect(await results(threadOf([[THEIRS]], ""), { patienceMs: 10 })).toEqual(["hung"]);
  });

  it("in a cell of ours is waited for", async () => {
    cpuIs(1e6);
    const worker = threadOf([[OURS]], "setTimeout(() => rest(row, from), 300);");
    expect(await results(worker, { patienceMs: 1 })).toEqual(["0.0"]);
  });

  it("is not lost where this one was: what it has said meanwhile is heard first", async () => {
    const [go, said, heard] = [fresh(".go"), fresh(".said"), fresh(".heard")];
    const until = (marker: string): string => `until(${JSON.stringify(marker)});`;
    const onOrder = `ran(row, 0); ${until(go)} ran(row, 1); writeFileSync(${JSON.stringify(said)}, "");
      ${until(heard)} rest(row, 2);`;
    cpuIs(1e6);
    const patienceMs = 1500;
    const found = results(threadOf([[THEIRS, THEIRS, THEIRS]], onOrder), { patienceMs }, (_, done) => {
      if (done === 2) writeFileSync(heard, "");
      if (done > 1) return;
      setTimeout(() => {
        const since = Date.now();
        writeFileSync(go, "");
        deafUntil(() => existsSync(said) && Date.now() - since > patienceMs);
      });
    });
    expect(await found).toEqual(cells(0, 3));
  });

  it("before it has a plan is bad use", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    cpuIs(1e6);
    const file = fresh(".mjs");
    writeFileSync(file, "for (;;);");
    const found = results(pathToFileURL(file), { patienceMs: 1 });
    const refused = expect(found).rejects.toThrow(/^mine\.mjs: loading it does not end/);
    vi.advanceTimersByTime(30_000);
    await refused;
  });
});

it("rows with a race are begun first, and told of in the order of the plan", async () => {
  const seen: unknown[] = [];
  const worker = threadOf([[THEIRS], [THEIRS], [THEIRS]], "rest(row, from);", [false, true, false]);
  expect(await results(worker, {}, (result) => seen.push(result))).toEqual(["0.0", "1.0", "2.0"]);
  expect(seen).toEqual(["1.0", "0.0", "2.0"]);
});

it.each([0, 1.5, Number.NaN])("%d threads are bad use", async (workers) => {
  await expect(results(threadOf([], ""), { workers })).rejects.toThrow(/workers must be a whole number from 1 on/);
});
