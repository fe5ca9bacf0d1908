/** `dma-buf scenarios`: the questions. */
import { readScenarios } from "@dma-buf/compare";
import { beside, textWidth } from "../text.js";
import type { Cli } from "./cli.js";

export function addScenariosCommand(cli: Cli): void {
  cli
    .command("scenarios", "list the scenarios")
    .option("--scenarios <dir>", "scenarios of yours instead of ours: a directory of *.yaml")
    .action(({ json, scenarios: dir }: { json?: boolean; scenarios?: string }) => {
      const list = readScenarios(dir).map(({ id, title, question, source }) => ({ id, title, question, source }));
      const width = Math.max(...list.map((s) => s.id.length)) + 2;
      cli.print(
        json,
        () => ({ schemaVersion: 1, scenarios: list }),
        () =>
          list.flatMap((s) => beside(s.id.padEnd(width), `${s.title}: ${s.question}`, textWidth(cli.io))).join("\n"),
      );
    });
}
