/** What keeps iommufd right: taken out of the package, and the verdicts of the scenarios that are about it turn. */
import type { DmaBuf, Op } from "@dma-buf/core";
import type { Iommufd, Pages } from "@dma-buf/importer-iommufd";
import { describe, expect, it } from "vitest";
import { bind } from "../../binding.js";
import { Cell } from "../../cell.js";
import type { Players } from "../../column.js";
import type { Result } from "../../result.js";
import { verdictText } from "../../scenario/verdict-text.js";
import { fewestLeaves } from "../leaves.js";
import { columnOf, scenario } from "../testing.js";

type Factory = Players["importers"]["iommufd"];

/** The cell, played by another iommufd. */
function result(id: string, contract: string, broken: (ours: Factory) => Factory = (ours) => ours): Result {
  const column = columnOf(contract);
  const { players } = column;
  const importers = { ...players.importers, iommufd: broken(players.importers.iommufd) };
  const played = scenario(id);
  return new Cell(played, { ...column, players: { ...players, importers } }, bind(played, null)).result();
}

const withoutFlush =
  (ours: Factory): Factory =>
  (options) =>
    ours({ ...options, guards: { flush: false } });

/** Takes a reservation inside `pages->mutex`. The callback comes with the reservation, and takes the mutex. */
const inverted =
  (ours: Factory): Factory =>
  (options) =>
  (framework, host) => {
    const iommufd: Iommufd = ours(options)(framework, host);
    function* attachBuffer(buf: DmaBuf): Op<Pages> {
      const pages = yield* Object.getPrototypeOf(iommufd).attachBuffer.call(iommufd, buf);
      const acquire = pages.acquire.bind(pages);
      pages.acquire = function* () {
        {
          using _mutex = yield* pages.mutex.write();
          using _held = yield* buf.resv.lock();
        }
        yield* acquire();
      };
      return pages;
    }
    return Object.assign(iommufd, { attachBuffer });
  };

describe.each(["pfn", "linux-7.3"])("%s", (contract) => {
  it.each<[string, string, string, string, (ours: Factory) => Factory]>([
    ["S38b", "OK", "STALE", "without its flush", withoutFlush],
    ["S46d", "OK", "STALE", "without its flush", withoutFlush],
    ["S67c", "FAULT", "STALE", "without its flush", withoutFlush],
    ["S49", "OK", "HANG", "with two locks in another order", inverted],
  ])("%s: %s, and %s %s", (id, right, wrong, _how, broken) => {
    expect(verdictText(result(id, contract).conforming)).toBe(right);
    expect(verdictText(result(id, contract, broken).conforming)).toBe(wrong);
  });
});

it("S68b: what was pulled out is a fault, and not lost bytes", () => {
  const { conforming, rule } = result("S68b", "pfn");
  expect([verdictText(conforming), rule.kind]).toEqual(["FAULT", "port"]);
});

it("S58c: which caches were missed is said", () => {
  expect(result("S58c", "pfn").rule.text).toMatch(/went past caches that have newer ones/);
});

it("leaves: as large as both addresses and the length allow, at either end", () => {
  const sizes = [12, 21, 30];
  const [K4, M2, G1] = sizes.map((log2) => 2 ** log2) as [number, number, number];
  expect(fewestLeaves(G1, [{ base: 4 * G1, sizeBytes: G1 }], sizes)).toBe(1);
  expect(fewestLeaves(G1 + M2, [{ base: 4 * G1, sizeBytes: G1 }], sizes)).toBe(G1 / M2);
  expect(fewestLeaves(M2 - K4, [{ base: G1 - K4, sizeBytes: M2 + K4 }], sizes)).toBe(2);
  expect(
    fewestLeaves(
      0,
      [
        { base: 9 * K4, sizeBytes: K4 },
        { base: K4, sizeBytes: 2 * K4 },
      ],
      sizes,
    ),
  ).toBe(3);
});
