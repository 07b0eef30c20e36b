"use strict";
const box = document.getElementById("filter");
const lines = [...document.querySelectorAll("#list > details")];
const count = document.getElementById("count");
function show() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const line of lines) {
    const text = line.textContent.toLowerCase();
    line.hidden = !words.every((word) => text.includes(word));
    shown += line.hidden ? 0 : 1;
  }
  count.textContent = `${shown} of ${lines.length}`;
}
box.addEventListener("input", show);
show();
document.addEventListener("keydown", (event) => {
  if (event.target === box) {
    if (event.key === "Escape") { box.value = ""; show(); box.blur(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const open = lines.filter((line) => !line.hidden).map((line) => line.firstElementChild);
  const at = open.indexOf(document.activeElement);
  if (event.key === "j" && open.length) open[Math.min(at + 1, open.length - 1)].focus();
  else if (event.key === "k" && open.length) open[Math.max(at - 1, 0)].focus();
  else if (event.key === "/") { event.preventDefault(); box.focus(); }
});
let closed = [];
addEventListener("beforeprint", () => {
  closed = lines.filter((line) => !line.open);
  for (const line of closed) line.open = true;
});
addEventListener("afterprint", () => { for (const line of closed) line.open = false; });
