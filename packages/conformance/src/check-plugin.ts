/** What a loader asks of a module before it runs anything of it. */
import type { PluginModule } from "@dma-buf/core";

/**
 * Checks `module.dmaBufPlugin`.
 * @throws TypeError naming the field, what it is and what it must be.
 * @example
 * const module = { dmaBufPlugin: { schemaVersion: 1, kind: "exporter", name: "mine", contracts: ["linux-7.3"], capabilities: [], create } };
 * checkPlugin(module, "./mine.js").name; // "mine"
 */
export function checkPlugin(module: unknown, from: string): PluginModule {
  const plugin = (module as { dmaBufPlugin?: unknown } | null)?.dmaBufPlugin as Record<string, unknown> | undefined;
  const must = (ok: boolean, field: string, rule: string): void => {
    const value = plugin && field ? plugin[field.slice(1)] : plugin;
    if (!ok) throw new TypeError(`${from}: dmaBufPlugin${field} must be ${rule}, is ${String(value)}`);
  };
  const strings = (v: unknown): boolean => Array.isArray(v) && v.every((s) => typeof s === "string");
  must(typeof plugin === "object" && plugin !== null, "", "an object exported under that name");
  must(plugin?.["schemaVersion"] === 1, ".schemaVersion", "1");
  must(plugin?.["kind"] === "exporter" || plugin?.["kind"] === "importer", ".kind", '"exporter" or "importer"');
  must(typeof plugin?.["name"] === "string", ".name", "a string");
  must(["string", "undefined"].includes(typeof plugin?.["plays"]), ".plays", "left out, or a string");
  must(strings(plugin?.["contracts"]), ".contracts", "a list of contract ids");
  must(strings(plugin?.["capabilities"]), ".capabilities", "a list of strings");
  must(typeof plugin?.["create"] === "function", ".create", "a function");
  return plugin as unknown as PluginModule;
}
