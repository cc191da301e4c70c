// The keyboard scrolls only what it can reach. The theme sees to that when the page is loaded or the
// window changes; this sees to what is unfolded, typeset or found later.
const scrolling = new ResizeObserver((entries) => {
  for (const { target } of entries) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
});
document.addEventListener("DOMContentLoaded", () => {
  const boxes = "pre, .pst-scrollable-table-container, .output.text_html, div[style*='overflow-x']";
  for (const box of document.querySelectorAll(boxes)) scrolling.observe(box);
});
