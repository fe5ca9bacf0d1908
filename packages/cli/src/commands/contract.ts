/** `dma-buf contract`: one contract, or what one says and another does not. */
import { contracts } from "@dma-buf/core";
import { compareContracts, renderContract, renderDifference } from "../contract.js";
import { contractNamed } from "../columns.js";
import type { Cli } from "./cli.js";

export function addContractCommand(cli: Cli): void {
  cli
    .command("contract", "print a contract, or what one has and another has not")
    .argument("<contract>", `one of ${contracts.map((c) => c.id).join(", ")}, or a module of yours, as ./mine.mjs`)
    .argument("[other]", "the one to set it against")
    .action(async (word: string, otherWord: string | undefined, { json }: { json?: boolean }) => {
      const first = await contractNamed(word);
      const second = otherWord === undefined ? null : await contractNamed(otherWord);
      const value = (): object => (second ? compareContracts(first, second) : first);
      cli.print(
        json,
        () => ({ schemaVersion: 1, ...value() }),
        () => (second ? renderDifference(first, second, cli.io) : renderContract(first, cli.io)),
      );
    });
}
