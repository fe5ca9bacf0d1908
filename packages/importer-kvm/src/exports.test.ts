/** What a signature names can be named by who uses the package: the type checker says so. */
import { expectTypeOf, it } from "vitest";
import type {
  Contracted,
  DmaBufBacking,
  FoundPage,
  GmemBacking,
  GmemMapping,
  GmemPage,
  GuestMemfd,
  GuestMemfdVm,
  InvalidateGfns,
  KvmImporter,
  MemorySlot,
  Placing,
  ProcessMemory,
  RangeStart,
  SlotBacking,
  VmaBacking,
} from "./index.js";

it("of a guest_memfd, of a process, of a VM", () => {
  expectTypeOf<GuestMemfd["getPfn"]>().returns.toEqualTypeOf<GmemPage>();
  expectTypeOf<GuestMemfd["mmap"]>().returns.toEqualTypeOf<GmemMapping>();
  expectTypeOf<GuestMemfd["bound"]>().toEqualTypeOf<readonly MemorySlot[]>();
  expectTypeOf<GuestMemfdVm["invalidate"]>().toEqualTypeOf<InvalidateGfns>();
  expectTypeOf<MemorySlot["backing"]>().toEqualTypeOf<SlotBacking>();
  expectTypeOf<SlotBacking>().toEqualTypeOf<VmaBacking | GmemBacking | DmaBufBacking>();
  expectTypeOf<Parameters<Parameters<ProcessMemory["find"]>[2]>[0]>().toEqualTypeOf<FoundPage>();
  expectTypeOf<ConstructorParameters<typeof ProcessMemory>[2]>().toEqualTypeOf<Placing>();
  expectTypeOf<ConstructorParameters<typeof ProcessMemory>[3]>().toEqualTypeOf<RangeStart>();
  expectTypeOf<ConstructorParameters<typeof KvmImporter>[2]>().toEqualTypeOf<Contracted>();
});
