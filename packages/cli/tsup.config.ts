import { command } from "@dma-buf/config/tsup";

export default command(["src/cli.ts"]);
