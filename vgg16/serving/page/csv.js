// The answers as a table for a spreadsheet.

const COLUMNS = ["name", "label", "probability", "typicality", "version", "error"];

export function table(cards) {
  const rows = cards.map(({ name, answer, error }) => [
    text(name),
    text(answer?.label ?? ""),
    answer?.probability ?? "",
    answer?.typicality ?? "",
    answer?.version ?? "",
    text(error?.message ?? ""),
  ]);
  const lines = [COLUMNS, ...rows].map((row) => row.map(quoted).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

// A spreadsheet would reckon with a name that begins so.
function text(value) {
  return /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
}

function quoted(value) {
  return /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
}

// Have the browser keep a text as a file.
export function download(name, content) {
  const url = URL.createObjectURL(new Blob(["\ufeff", content], { type: "text/csv;charset=utf-8" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
