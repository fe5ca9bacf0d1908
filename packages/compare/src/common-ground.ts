/**
 * What all code stands on and any code can change: global names, the functions of the language, and the methods of core's
 * classes. Code of somebody else that changes one would change every cell after it, and how its own is judged.
 */
import * as core from "@dma-buf/core";

const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;

/** A function that stands somewhere, and where. */
interface Kept {
  readonly of: string;
  readonly object: object;
  readonly key: PropertyKey;
  readonly is: PropertyDescriptor;
}

type Named = readonly (readonly [name: string, object: object])[];

const TYPES = {
  Object,
  Function,
  Array,
  String,
  Number,
  Boolean,
  BigInt,
  Symbol,
  Map,
  Set,
  WeakMap,
  WeakSet,
  RegExp,
  Error,
  Promise,
  ArrayBuffer,
  DataView,
  TypedArray: getPrototypeOf(Uint8Array) as typeof Uint8Array,
};

const GROUND: Named = [
  ["globalThis", globalThis],
  ["Math", Math],
  ["JSON", JSON],
  ["Reflect", Reflect],
  ["an array's iterator", getPrototypeOf([][Symbol.iterator]()) as object],
  ["a generator", getPrototypeOf(function* () {}.prototype) as object],
  ...Object.entries(TYPES).flatMap(withPrototype),
  ...Object.entries(core).flatMap(([name, value]) => (typeof value === "function" ? withPrototype([name, value]) : [])),
];

/** Thrown for what was changed; by then it is as it was. */
export class ChangedGround extends Error {
  override readonly name = "ChangedGround";
}

/** Does `act`, and sets right what it changed. @throws ChangedGround where it changed anything */
export function onCommonGround<T>(act: () => T): T {
  const giveBack = lendGround();
  try {
    return act();
  } finally {
    giveBack();
  }
}

/** What it answers sets right what was changed until then. @throws ChangedGround, from there, where anything was */
export function lendGround(): () => void {
  const kept = keep();
  return () => {
    const changed = setRight(kept);
    if (changed) throw new ChangedGround(`changed ${nameOf(changed)}, which all code uses`);
  };
}

function withPrototype([name, type]: readonly [string, object & { prototype?: object }]): Named {
  return type.prototype
    ? [
        [name, type],
        [`${name}.prototype`, type.prototype],
      ]
    : [[name, type]];
}

/**
 * Additions harm nobody, and values as `Error.stackTraceLimit` are everybody's to set. Getters of `globalThis` load what
 * is asked for, and put it in their own place.
 */
function keep(): Kept[] {
  return GROUND.flatMap(([of, object]) =>
    ownKeys(object).flatMap((key) => {
      const is = getOwnPropertyDescriptor(object, key) as PropertyDescriptor;
      const isKept = typeof is.value === "function" || (is.get && object !== globalThis);
      return isKept ? [{ of, object, key, is }] : [];
    }),
  );
}

/** Calls nothing that may have been changed. */
function setRight(kept: readonly Kept[]): Kept | null {
  let first: Kept | null = null;
  for (let i = 0; i < kept.length; i++) {
    const one = kept[i] as Kept;
    const now = getOwnPropertyDescriptor(one.object, one.key);
    if (now?.value === one.is.value && now?.get === one.is.get) continue;
    first ??= one;
    defineProperty(one.object, one.key, one.is);
  }
  return first;
}

function nameOf({ of, key }: Kept): string {
  return typeof key === "symbol" ? `${of}[${String(key)}]` : `${of}.${key}`;
}
