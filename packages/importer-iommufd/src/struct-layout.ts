/** Structs of the uAPI as bytes: little endian, each field at its offset. A field of 64 bits is a bigint, others are Numbers. */

export type FieldType<V = number | bigint> = V extends bigint ? "u64" : "u16" | "u32" | "s32";
/** Where a field begins, bytes, and what it is. */
export type Field<V = number | bigint> = readonly [offset: number, type: FieldType<V>];

/** One struct. Its first field, `size`, is userspace's idea of how long it is, and not among the others. */
export interface StructLayout<V> {
  readonly name: string;
  /** Bytes, as this kernel knows it. */
  readonly sizeBytes: number;
  /** Fewer are refused. */
  readonly minBytes: number;
  readonly fields: { readonly [K in keyof V]: Field<V[K]> };
}

const BYTES = { u16: 2, u32: 4, s32: 4, u64: 8 } as const;

/** Up to the end of its last field, which must be there unless `minBytes` says less. */
export function struct<V>(name: string, fields: StructLayout<V>["fields"], minBytes?: number): StructLayout<V> {
  const ends = Object.values<Field>(fields).map(([offset, type]) => offset + BYTES[type]);
  const sizeBytes = Math.max(...ends);
  return { name, sizeBytes, minBytes: minBytes ?? sizeBytes, fields };
}

/** `bytes` has at least `sizeBytes`. */
export function decode<V>({ fields }: StructLayout<V>, bytes: Uint8Array): V {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = ([at, type]: Field): number | bigint => {
    if (type === "u64") return view.getBigUint64(at, true);
    if (type === "u16") return view.getUint16(at, true);
    return type === "u32" ? view.getUint32(at, true) : view.getInt32(at, true);
  };
  // Each field is read as its type says, which the layout shares with V.
  return Object.fromEntries(Object.entries<Field>(fields).map(([name, field]) => [name, read(field)])) as V;
}

/**
 * Writes the fields that `values` names, as far as `bytes` has room for them.
 * @throws RangeError a value that its field cannot hold
 */
export function write<V>({ name, fields }: StructLayout<V>, bytes: Uint8Array, values: Partial<V>): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const key of Object.keys(values) as (keyof V & string)[]) {
    const field: Field | undefined = fields[key];
    if (!field) throw new RangeError(`${name} has no field ${key}`);
    put(view, `${name}.${key}`, field, values[key] as number | bigint);
  }
}

function put(view: DataView, name: string, [at, type]: Field, value: number | bigint): void {
  if (!holds(type, value)) throw new RangeError(`${name} is ${type} and cannot hold ${value}`);
  if (at + BYTES[type] > view.byteLength) return;
  if (typeof value === "bigint") view.setBigUint64(at, value, true);
  else if (type === "u16") view.setUint16(at, value, true);
  else if (type === "s32") view.setInt32(at, value, true);
  else view.setUint32(at, value, true);
}

function holds(type: FieldType, value: number | bigint): boolean {
  if (typeof value === "bigint") return type === "u64" && BigInt.asUintN(64, value) === value;
  if (type === "u64" || !Number.isInteger(value)) return false;
  if (type === "s32") return (value | 0) === value;
  return value >= 0 && value < 2 ** (8 * BYTES[type]);
}
