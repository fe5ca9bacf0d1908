/** A question about a host is answered without the comparison: loading that takes longer than the answer. */
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { dmaBuf } from "./testing.js";

const loaded = vi.hoisted(() => ({ comparison: false }));
vi.mock("@dma-buf/compare", async (original) => {
  loaded.comparison = true;
  return original();
});

const LAPTOP = join(import.meta.dirname, "../../../machines/laptop-nvidia-optane.lspci.txt");

it("machine, p2p and bad input of theirs load no comparison; scenarios does", async () => {
  expect(await dmaBuf("machine", LAPTOP)).toMatchObject({ code: 0, err: "" });
  expect(await dmaBuf("p2p", LAPTOP)).toMatchObject({ code: 0, err: "" });
  expect(await dmaBuf("p2p", LAPTOP, "00:00.0")).toMatchObject({ code: 2, out: "" });
  expect(loaded.comparison).toBe(false);
  expect(await dmaBuf("scenarios")).toMatchObject({ code: 0, err: "" });
  expect(loaded.comparison).toBe(true);
});
