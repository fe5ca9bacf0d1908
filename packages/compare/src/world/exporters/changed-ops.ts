/** A framework for one exporter whose operations are changed on their way to it: how a driver is given a mistake. */
import type { DmaBufOps, Framework } from "@dma-buf/core";

export function withOps(framework: Framework, change: (ops: DmaBufOps) => DmaBufOps): Framework {
  const exporting: Framework["export"] = (info) => framework.export({ ...info, ops: change(info.ops) });
  return new Proxy(framework, {
    get(target, key) {
      if (key === "export") return exporting;
      const value = Reflect.get(target, key, target) as unknown;
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
