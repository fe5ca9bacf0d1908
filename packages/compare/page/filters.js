// Which rows and columns of the matrix are shown. The choice is kept behind `?` in the address, so that it can be sent on.
const form = document.getElementById("filters");
const matrix = document.getElementById("matrix");
const count = document.getElementById("count");
const rows = [...matrix.tBodies[0].rows];

/** What the form says, without what is not chosen. */
function chosen() {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
}

/** Does a column belong to what is compared? One contract, or the two that should differ; else all. */
function isShown(contract, { contract: only, a, b }) {
  if (a && b) return contract === a || contract === b;
  return !only || contract === only;
}

function isMatch({ dataset }, { verdict, blame, basis, odd }, isOdd) {
  return (
    (!verdict || dataset.v === verdict || dataset.p === verdict) &&
    (!blame || dataset.b === blame) &&
    (!basis || dataset.basis === basis) &&
    (!odd || isOdd)
  );
}

function differ(row, { a, b }) {
  if (!a || !b) return true;
  const [first, second] = [a, b].map((c) => row.querySelector(`td[data-c="${CSS.escape(c)}"]`)?.dataset.t);
  return first !== second;
}

function isRowMatch(row, { text = "", package: wanted, faults }) {
  const words = text.toLowerCase().split(/\s+/);
  const own = row.textContent.toLowerCase();
  if (!words.every((word) => own.includes(word))) return false;
  if (wanted && !row.dataset.pkg.split(" ").includes(wanted)) return false;
  return !(faults === "no" && "fault" in row.dataset);
}

function filterRow(row, choice) {
  const cells = [...row.cells].slice(1).filter((cell) => isShown(cell.dataset.c, choice));
  const found = cells.filter((cell) => isMatch(cell, choice, cell.querySelector("abbr") !== null));
  for (const cell of cells) cell.classList.toggle("dim", !found.includes(cell));
  row.hidden = found.length === 0 || !isRowMatch(row, choice) || !differ(row, choice);
}

function apply() {
  const choice = chosen();
  for (const cell of matrix.querySelectorAll("[data-c]")) cell.hidden = !isShown(cell.dataset.c, choice);
  for (const row of rows) filterRow(row, choice);
  const shown = rows.filter((row) => !row.hidden).length;
  count.value = shown === 0 ? "nothing matches: clear the filters" : `${shown} of ${rows.length} scenarios`;
  const query = new URLSearchParams(choice).toString();
  const [cell] = location.hash.slice(1).split("?");
  const address = cell + (query && `?${query}`);
  if (address !== location.hash.slice(1)) history.replaceState(null, "", `#${address}`);
  matrix.dispatchEvent(new Event("filtered"));
}

/** An address that says nothing of filters leaves them as they are. */
function fromAddress() {
  const [, query] = location.hash.split("?");
  if (query === undefined) return apply();
  form.reset();
  for (const [name, value] of new URLSearchParams(query)) {
    const field = form.elements.namedItem(name);
    if (field?.type === "checkbox") field.checked = true;
    else if (field) field.value = value;
  }
  apply();
}

form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
// The fields are empty only after the event.
form.addEventListener("reset", () => setTimeout(apply));
addEventListener("hashchange", fromAddress);
form.hidden = false;
fromAddress();
