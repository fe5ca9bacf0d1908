import { project } from "@dma-buf/config/vitest";

export default project("example-own-package");
