/** Bad input that is neither the comparison's nor the capture's to name. Exit code 2, like those. */
export class InputError extends Error {
  override readonly name = "InputError";
}
