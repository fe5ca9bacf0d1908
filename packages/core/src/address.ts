/**
 * Addresses, branded by the space in which they mean something.
 *
 * Every address is a Number (page tables carry 52 bits, so a Number is exact); the brand exists for the compiler
 * alone. A function that wants a CPU-physical address cannot be handed a DMA address by accident: that is one side
 * of the debate, held by the type checker. Brands are put on at the edge of a space (a BAR, an IOVA allocator, a
 * guest's memory slot) and taken off inside a page table, nowhere else.
 */
declare const space: unique symbol;

/** A Number that is an address in space `S`. */
export type Addr<S extends string> = number & { readonly [space]: S };

/** Where the CPU finds a byte: RAM or MMIO, bytes. */
export type PhysAddr = Addr<"cpu-physical">;
/** What travels on the wires below one host bridge, bytes. `bus = physical - offset of that bridge`. */
export type BusAddr = Addr<"pci-bus">;
/** What an IOMMU domain translates, bytes. */
export type Iova = Addr<"iova">;
/** What one device may put on its bus: valid for that device alone, bytes. */
export type DmaAddr = Addr<"dma">;
/** What means something between the devices of one fabric alone, beside PCI: XGMI, NVLink. Bytes. */
export type FabricAddr = Addr<"device-private">;
/** What a guest believes to be physical, bytes. */
export type Gpa = Addr<"guest-physical">;
/** A CPU page frame number: a CPU-physical address in units of {@link PAGE_SIZE}. */
export type Pfn = Addr<"pfn">;

/**
 * log2 of the base page.
 * @example
 * 2 ** PAGE_SHIFT === PAGE_SIZE; // true
 */
export const PAGE_SHIFT = 12;
/**
 * The base page, bytes.
 * @example
 * buf.sizeBytes / PAGE_SIZE; // 4
 */
export const PAGE_SIZE: number = 4096;

/**
 * States that `value` is an address of the space the call site asks for. The only cast in the project's address code.
 * @example
 * const iova = addr<Iova>(0x1000); // 0x1000
 */
export function addr<A extends Addr<string>>(value: number): A {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an address: ${value}`);
  return value as A;
}

/**
 * The page frame that holds `physical`.
 * @example
 * pfnOf(addr<PhysAddr>(0x40_1000)); // 0x401
 */
export function pfnOf(physical: PhysAddr): Pfn {
  return addr<Pfn>(Math.floor(physical / PAGE_SIZE));
}

/**
 * The first byte of page frame `pfn`.
 * @example
 * physOf(addr<Pfn>(0x401)); // 0x40_1000
 */
export function physOf(pfn: Pfn): PhysAddr {
  return addr<PhysAddr>(pfn * PAGE_SIZE);
}

/**
 * Is `value` a multiple of the base page?
 * @example
 * isPageAligned(0x1800); // false
 */
export function isPageAligned(value: number): boolean {
  return value % PAGE_SIZE === 0;
}

/**
 * An address as people write it: `0x4010000000`.
 * @example
 * hex(0x4000_0000); // "0x40000000"
 */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
