/** The door through which a plugin comes in: a module offers `dmaBufPlugin`, and the loader checks its shape. */
import type { Framework } from "./framework.js";

/** A curried factory: options are the author's, framework and host are given by whoever runs it. */
export type PluginFactory<Options, Host, Plugin> = (options: Options) => (framework: Framework, host: Host) => Plugin;

/** What a plugin's module offers. Undeclared means absent: a capability that is not listed must refuse. */
export interface PluginModule<Options = never, Host = never, Plugin = unknown> {
  readonly schemaVersion: 1;
  readonly kind: "exporter" | "importer";
  readonly name: string;
  /** Ids of the contracts it was written for. Printed and filtered by, never branched on. */
  readonly contracts: readonly string[];
  readonly capabilities: readonly string[];
  readonly create: PluginFactory<Options, Host, Plugin>;
}

/**
 * Checks `module.dmaBufPlugin`.
 * @throws TypeError naming the field, what it is and what it must be.
 */
export function checkPlugin(module: unknown, from: string): PluginModule {
  const plugin = (module as { dmaBufPlugin?: unknown } | null)?.dmaBufPlugin as Record<string, unknown> | undefined;
  const must = (ok: boolean, field: string, rule: string): void => {
    if (!ok)
      throw new TypeError(
        `${from}: dmaBufPlugin${field} must be ${rule}, is ${String(plugin && field ? plugin[field.slice(1)] : plugin)}`,
      );
  };
  const strings = (v: unknown): boolean => Array.isArray(v) && v.every((s) => typeof s === "string");
  must(typeof plugin === "object" && plugin !== null, "", "an object exported under that name");
  must(plugin?.["schemaVersion"] === 1, ".schemaVersion", "1");
  must(plugin?.["kind"] === "exporter" || plugin?.["kind"] === "importer", ".kind", '"exporter" or "importer"');
  must(typeof plugin?.["name"] === "string", ".name", "a string");
  must(strings(plugin?.["contracts"]), ".contracts", "a list of contract ids");
  must(strings(plugin?.["capabilities"]), ".capabilities", "a list of strings");
  must(typeof plugin?.["create"] === "function", ".create", "a function");
  return plugin as unknown as PluginModule;
}
