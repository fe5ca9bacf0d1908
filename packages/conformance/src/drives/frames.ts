/** Page frames, by get_pfn and behind a CPU mapping: neighbours agree, and nothing is told of what is beyond the end. */
import { type DmaBuf, type Op, PAGE_SIZE, perform, type PfnAnswer, type Vma } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import { ReferenceImporter } from "../reference-importer.js";
import { askFrame } from "../try-out.js";
import { can, deviceOf, type ExporterWorld } from "../world.js";

export function* frames(world: ExporterWorld, buf: DmaBuf): Op<void> {
  if (!can(world, "get_pfn")) return;
  const importer = new ReferenceImporter(world.fw);
  yield* importer.attach(buf, deviceOf(world));
  yield* checkFrames(world, importer, buf.sizeBytes / PAGE_SIZE);
  yield* importer.detach();
}

/** A mapping that begins at the second page shows the second page. */
export function* mappedFromSecond(world: ExporterWorld, buf: DmaBuf): Op<void> {
  if (!can(world, "mmap") || !buf.ops.mmap) return;
  const whole = yield* frameBehind(world, buf, { pgoff: 0, pages: 2, buf: null, fault: null }, 1);
  const second = yield* frameBehind(world, buf, { pgoff: 1, pages: 1, buf: null, fault: null }, 0);
  if (second !== whole)
    world.fw.breach("mmap", `the first page of a mapping from page 1 is frame ${second}, not ${whole}: add vma.pgoff`);
}

/** `null` where the exporter filled the mapping at once, and nothing faults. */
function* frameBehind({ fw }: ExporterWorld, buf: DmaBuf, vma: Vma, page: number): Op<number | null> {
  yield* fw.mmapFile(buf, vma);
  try {
    return vma.fault && (yield* perform(vma.fault(page))).pfn;
  } finally {
    yield* fw.munmap(vma);
  }
}

/** Each page on its own must agree with what the order of its neighbours promised; what is no page of the buffer is refused. */
function* checkFrames({ fw }: ExporterWorld, { attachment }: ReferenceImporter, pages: number): Op<void> {
  const answers: PfnAnswer[] = [];
  for (let pgoff = 0; pgoff < pages; pgoff++) answers.push(yield* askFrame(fw, attachment, pgoff));
  for (const [pgoff, { pfn, maxOrder }] of answers.entries()) {
    const first = pgoff - (pfn % 2 ** maxOrder);
    for (let page = first; page < first + 2 ** maxOrder; page++)
      if (answers[page]?.pfn !== pfn - pgoff + page)
        return fw.breach("getPfn", `page ${pgoff} promises order ${maxOrder}, which page ${page} does not keep`);
  }
  for (const [pgoff, what] of [
    [pages, "beyond the end"],
    [-1, "before the beginning"],
    [0.5, "none"],
    [NaN, "none"],
  ] as const)
    if (yield* accepted(askFrame(fw, attachment, pgoff)))
      return fw.breach("getPfn", `tells a frame for page ${pgoff}, ${what}: refuse what is no page of the buffer`);
}
