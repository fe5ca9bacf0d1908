/** What the types rule out, and JavaScript does not: told before anything happens, as no errno of the kernel says it. */
import type { VfioExport } from "./exporter.js";
import type { HotReset } from "./hot-reset.js";
import type { VfioHost } from "./host.js";
import { refuse } from "./refuse.js";
import type { VfioOptions } from "./variant.js";

export const U64_REMEDY = "give a safe integer from 0, or a bigint below 2^64";

const CACHES: readonly string[] = ["uc", "wc", "wb"];
const POWER_STATES: readonly VfioHost["powerState"][] = ["D0", "D3hot", "D3cold"];

/** @throws TypeError what is exported is not an object with an array of ranges · DmaBufError `EINVAL` flags */
export function needExport(what: VfioExport): void {
  needObject(what, "export()", "{ regionIndex, ranges }");
  const { ranges, openFlags = 0 } = what;
  if (!Array.isArray(ranges)) wrong("ranges", ranges, "an array of { offset, length }");
  for (const [i, range] of ranges.entries()) needObject(range, `ranges[${i}]`, "{ offset, length }");
  if (!isU32(openFlags))
    refuse("EINVAL", "export", `openFlags ${shown(openFlags)} is no unsigned 32-bit value: give the flags of open()`, {
      openFlags,
    });
}

/** @throws TypeError a part is missing · DmaBufError `EINVAL` no function, or one twice: its lock is taken once */
export function needHotReset(what: HotReset): void {
  needObject(what, "hotReset()", "{ set, isOwned, resetBus }");
  const { set, isOwned, resetBus } = what;
  if (!Array.isArray(set)) wrong("set", set, "an array of exporters");
  for (const [i, member] of set.entries()) needObject(member, `set[${i}]`, "an exporter");
  for (const [name, does] of Object.entries({ isOwned, resetBus }))
    if (typeof does !== "function") wrong(name, does, "a function");
  if (set.length === 0) refuse("EINVAL", "cpu-access", "set is empty: name every function that the reset reaches");
  const twice = set.find((member, i) => set.indexOf(member) !== i);
  if (twice) refuse("EINVAL", "cpu-access", `${twice.name} is in the set twice: name each function once`);
}

/** @throws TypeError */
export function needOptions(options: VfioOptions): void {
  needObject(options, "options", "an object, or leave them out");
  const { support = {}, memory = { cache: "uc" } } = options;
  needObject(support, "options.support", "an object, or leave it out");
  needObject(memory, "options.memory", "{ cache, snoop }, or leave it out");
  if (!CACHES.includes(memory.cache)) wrong("options.memory.cache", memory.cache, CACHES.join(", "));
}

/** @throws TypeError */
export function needBoolean(name: string, value: boolean): void {
  if (typeof value !== "boolean") wrong(name, value, "true or false");
}

/** @throws DmaBufError `EINVAL` the host knows no such state */
export function needPowerState(name: string, to: VfioHost["powerState"]): void {
  if (!POWER_STATES.includes(to))
    refuse("EINVAL", "cpu-access", `${name} knows no power state ${shown(to)}: give ${POWER_STATES.join(", ")}`, {
      to,
    });
}

/** @throws TypeError `install` answered something else */
export function needFd(fd: number): void {
  if (!Number.isInteger(fd) || fd < 0) wrong("the result of install()", fd, "the fd, an integer from 0");
}

/** Bits of a word of the uAPI. */
export function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

/** What userspace may write into 64 bits. */
export function isU64(value: number | bigint): boolean {
  return typeof value === "bigint" ? value >= 0n && value < 1n << 64n : Number.isSafeInteger(value) && value >= 0;
}

/** A value in a message: a string is told from what it spells. */
export function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function needObject(value: object, name: string, wanted: string): void {
  if (typeof value !== "object" || value === null) wrong(name, value, wanted);
}

function wrong(name: string, value: unknown, wanted: string): never {
  throw new TypeError(`${name} got ${shown(value)}: give ${wanted}`);
}
