// How a test reads a refusal: what the call answered, in a word. Anything that is no DmaBufError goes on. The error is
// known by its name, as the packages under test share no class with this one.

/** `ERRNO@stage`, or `ok`. */
export function refusal(act) {
  const error = refused(act);
  return error ? `${error.code}@${error.stage}` : "ok";
}

/** `ERRNO`, or `ok`. */
export function errnoOf(act) {
  return refused(act)?.code ?? "ok";
}

function refused(act) {
  try {
    act();
    return null;
  } catch (error) {
    if (error instanceof Error && error.name === "DmaBufError") return error;
    throw error;
  }
}
