/** The objects of one iommufd, by the ids that userspace has. Linux 7.3: drivers/iommu/iommufd/main.c. */
import type { Op } from "@dma-buf/core";
import { refuse } from "./refusal.js";

/** What has an id. */
export interface IommufdObject {
  /** Linux: `obj->type`; a command that wants another type finds nothing. */
  readonly kind: "ioas" | "hwpt" | "device" | "access";
  /** Others that hold it: it cannot be destroyed. Linux: `obj->users`. */
  readonly users: number;
  /** Called once, when nobody holds it. */
  destroy(): Op<void>;
}

/**
 * Ids count from 1; the lowest that is free is the next.
 * @example
 * iommufd.createIoas();
 * iommufd.objects.get(1, "ioas", "IOMMU_IOAS_MAP").users; // 0
 * yield* iommufd.objects.destroy(1);
 */
export class ObjectTable {
  readonly #objects: (IommufdObject | undefined)[] = [];
  /** Operations under way, by what they work on. Linux: a lookup takes one of `obj->users`. */
  readonly #held = new Map<IommufdObject, number>();

  /** How many there are. */
  get size(): number {
    return this.#objects.filter(Boolean).length;
  }

  /** @returns its id */
  add(object: IommufdObject): number {
    const free = this.#objects.findIndex((at) => at === undefined);
    const index = free < 0 ? this.#objects.length : free;
    this.#objects[index] = object;
    return index + 1;
  }

  /** @returns 0: it has none */
  idOf(object: IommufdObject): number {
    return this.#objects.indexOf(object) + 1;
  }

  /** @throws DmaBufError `ENOENT` nothing has this id, or something of another kind */
  get<K extends IommufdObject>(id: number, kind: K["kind"], op: string): K {
    const object = this.#objects[id - 1];
    if (object?.kind !== kind)
      refuse(
        "ENOENT",
        op,
        object ? `${id} is of kind ${object.kind}: give that of a ${kind}` : `nothing has the id ${id}`,
        { id },
      );
    // The kinds are the tags of the classes: one kind, one class.
    return object as K;
  }

  /** By id. */
  ofKind<K extends IommufdObject>(kind: K["kind"]): K[] {
    return this.#objects.filter((object): object is K => object?.kind === kind);
  }

  /** Until it is disposed, the object is in use: it is not destroyed under an operation that sleeps. */
  hold(object: IommufdObject): Disposable {
    const add = (by: number): void => void this.#held.set(object, this.#heldBy(object) + by);
    add(1);
    return {
      [Symbol.dispose]: () => {
        add(-1);
        if (this.#heldBy(object) === 0) this.#held.delete(object);
      },
    };
  }

  /** Takes an id away from an object that goes with who made it. */
  remove(object: IommufdObject): void {
    const id = this.idOf(object);
    if (id > 0) this.#objects[id - 1] = undefined;
  }

  /** `IOMMU_DESTROY`. @throws DmaBufError `ENOENT` nothing has this id · `EBUSY` somebody holds it */
  *destroy(id: number): Op<void> {
    const op = "IOMMU_DESTROY";
    const object = this.#objects[id - 1];
    if (!object) return refuse("ENOENT", op, `nothing has the id ${id}`, { id });
    const users = object.users + this.#heldBy(object);
    if (users > 0)
      refuse("EBUSY", op, `the ${object.kind} ${id} has ${users} users: detach and destroy those, or wait for them`, {
        id,
        users,
      });
    this.#objects[id - 1] = undefined;
    yield* object.destroy();
  }

  #heldBy(object: IommufdObject): number {
    return this.#held.get(object) ?? 0;
  }
}
