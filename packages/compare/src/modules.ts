/** Contracts, exporters and importers of yours, as modules: loaded, and looked at before anything of them runs. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { CallName, Contract, PluginModule, Row } from "@dma-buf/core";
import type { Column, Players } from "./column.js";
import { columns as ours } from "./columns/index.js";
import { mistakeIn } from "./check-contract.js";
import { ChangedGround, lendGround } from "./common-ground.js";
import { frozen } from "./frozen.js";
import { type Guest, PARTS } from "./players.js";
import { UsageError } from "./compare.js";

/** Paths, or names that Node resolves from this package's place. */
export interface ModuleNames {
  /** Each exports a `Contract` as default or as `contract`, and may export `players`. */
  readonly contractModules?: readonly string[];
  /** Each exports `dmaBufPlugin`. */
  readonly exporterModules?: readonly string[];
  readonly importerModules?: readonly string[];
}

/** What the modules bring. */
export interface Loaded {
  readonly columns: readonly Column[];
  readonly guests: readonly Guest[];
}

/** @throws UsageError that names the module, the field, and what was expected there */
export async function loadModules(names: ModuleNames): Promise<Loaded> {
  const { contractModules = [], exporterModules = [], importerModules = [] } = names;
  frozen(ours.map((column) => column.contract));
  const columns = await inTurn(contractModules, async (name) => columnOf(await load(name), name));
  const exporters = await inTurn(exporterModules, async (name) => guestOf(await load(name), name, "exporter"));
  const importers = await inTurn(importerModules, async (name) => guestOf(await load(name), name, "importer"));
  return { columns, guests: [...exporters, ...importers] };
}

/** One after the other, so that it is known whose doing it is when something changes. */
async function inTurn<T>(names: readonly string[], act: (name: string) => Promise<T>): Promise<T[]> {
  const done: T[] = [];
  // oxlint-disable-next-line no-await-in-loop -- that is what it is for
  for (const name of names) done.push(await act(name));
  return done;
}

type Exports = Readonly<Record<string, unknown>>;

async function load(name: string): Promise<Exports> {
  const isPath = /^\.{0,2}[/\\]/.test(name) || isAbsolute(name) || /\.[cm]?js$/.test(name);
  const url = isPath ? pathToFileURL(resolve(name)).href : name;
  if (isPath && !existsSync(resolve(name)))
    throw new UsageError(`${name}: there is no such file: give a module's path`);
  try {
    const giveBack = lendGround();
    const exports = (await import(/* @vite-ignore */ url)) as Exports;
    giveBack();
    return exports;
  } catch (error) {
    if (error instanceof ChangedGround)
      throw new UsageError(`${name}: loading it ${error.message}: a module exports, and changes nothing`);
    throw new UsageError(`${name}: cannot be loaded: ${reason(error, isPath ? resolve(name) : null)}`);
  }
}

function reason(error: unknown, file: string | null): string {
  if (!(error instanceof Error)) return `it threw ${String(error)}`;
  const line = error instanceof SyntaxError && file ? lineOfMistake(file) : null;
  return `${line ? `line ${line}: ` : ""}${error.name}: ${error.message}`;
}

/** A SyntaxError of a module does not say where it is; Node's own check does. */
function lineOfMistake(file: string): string | null {
  const { stderr } = spawnSync(process.execPath, ["--check", file], { encoding: "utf8" });
  return /:(\d+)\n/.exec(stderr)?.[1] ?? null;
}

/** Throws for a field that is not as it must be. */
type Must = (ok: boolean, field: string, rule: string, value: unknown) => void;

const must =
  (from: string): Must =>
  (ok, field, rule, value) => {
    if (!ok) throw new UsageError(`${from}: ${field} must be ${rule}, is ${shown(value)}`);
  };

function shown(value: unknown): string {
  return typeof value === "object" && value !== null
    ? "an object"
    : typeof value === "string"
      ? JSON.stringify(value)
      : String(value);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

function columnOf(exports: Exports, from: string): Column {
  const field = "contract" in exports ? "contract" : "default";
  const contract = exports[field];
  checkContract(contract, field, must(from));
  const found = exports["players"];
  if (found !== undefined) must(from)(isObject(found), "players", "an object with exporters and importers", found);
  const like = nearest(contract);
  const { exporters, importers } = like.players;
  const own = (found ?? {}) as Partial<Players>;
  checkPlayers(own, { exporters, importers }, must(from));
  return {
    contract: frozen(contract),
    players: { exporters: { ...exporters, ...own.exporters }, importers: { ...importers, ...own.importers } },
    like: like.contract.id,
  };
}

function checkContract(contract: unknown, name: string, check: Must): asserts contract is Contract {
  const mistake = mistakeIn(contract);
  if (!mistake) return;
  const { field, rule, value } = mistake;
  check(false, field ? `${name}.${field}` : `export ${name}`, rule, value);
}

function checkPlayers(own: Partial<Players>, known: Players, check: Must): void {
  const other = Object.keys(own).find((side) => !Object.hasOwn(known, side));
  check(other === undefined, `players.${other}`, "left out: there are exporters and importers", other);
  for (const side of ["exporters", "importers"] as const)
    for (const [part, player] of Object.entries(own[side] ?? {})) {
      check(
        Object.hasOwn(known[side], part),
        `players.${side}.${part}`,
        `left out, or one of ${Object.keys(known[side]).join(", ")}`,
        player,
      );
      check(
        typeof player === "function",
        `players.${side}.${part}`,
        "a factory, (options) => (framework, host) => plugin",
        player,
      );
    }
}

/**
 * Whose packages play under a contract of yours: those of the one of ours that is most like it, by how a buffer is seen
 * (the callbacks it stands on, then `open`), by the kernel it extends, and by the rows that are the same.
 */
export function nearest(contract: Contract): Column {
  const scored = ours.map((column) => ({ column, score: likeness(contract, column.contract) }));
  return scored.reduce((a, b) => (b.score > a.score ? b : a)).column;
}

function likeness(a: Contract, b: Contract): number {
  const calls = [...new Set([...Object.keys(a.rows), ...Object.keys(b.rows)])] as CallName[];
  const same = calls.filter((call) => words(a.rows[call]) === words(b.rows[call])).length;
  const isSeenAlike = a.policy.backing.join() === b.policy.backing.join();
  return (isSeenAlike ? 8 : 0) + (a.open === b.open ? 4 : 0) + (a.base === b.base ? 2 : 0) + same / calls.length;
}

/** Of a row, all but its id, which carries the contract's. */
function words(row: Row | undefined): string {
  return JSON.stringify({ ...row, id: "" });
}

/** The kit is loaded only where there is something to check. */
async function checked(exports: Exports, from: string): Promise<PluginModule> {
  const { checkPlugin } = await import("@dma-buf/conformance");
  try {
    return checkPlugin(exports, from);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function guestOf(exports: Exports, from: string, kind: PluginModule["kind"]): Promise<Guest> {
  const plugin = await checked(exports, from);
  must(from)(plugin.kind === kind, "dmaBufPlugin.kind", `"${kind}": it was given as --${kind}`, plugin.kind);
  const parts: Readonly<Record<string, string>> = PARTS[kind];
  const plays = plugin.plays ?? plugin.name;
  const part = Object.hasOwn(parts, plays) ? parts[plays] : undefined;
  if (part) return { plugin, part };
  const names = Object.keys(parts).join(", ");
  throw new UsageError(
    `${from}: dmaBufPlugin.plays must be one of ${names}, is ${shown(plugin.plays)}: ${JSON.stringify(plugin.name)} is the name of none of our ${kind}s, so say in whose place it is put`,
  );
}
